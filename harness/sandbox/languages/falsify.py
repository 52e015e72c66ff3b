"""Tests with one expectation falsified, for programs that are compiled together with their tests.

A program that shares a process with its tests may read there whatever proves a pass. So a pass has to be earned twice:
the tests pass, and the same tests with an expectation falsified do not. Which one is drawn anew for every program, and
nothing tells the falsified build from the true one: where the expectation is a literal it becomes another of its kind.
Every version is false for each program that passes the true tests; it fails them unless it never reaches the place, for
which there are the versions with all expectations falsified: negated, which no program passes by chance, and with other
literals, which one passes whose values are equal to everything.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

# How a test of the language states an expectation; the call's closing bracket is found by counting.
_CALLS = {
    "cpp": re.compile(r"(?<![\w.])(?:assert|if)\s*\("),
    "java": re.compile(r"(?:List<Boolean>\s+\w+\s*=\s*Arrays\.asList|\b(?:if|assert))\s*\("),
    "javascript": re.compile(r"\b(?:console\.assert|assert\.deepEqual)\s*\("),
    "typescript": re.compile(r"\bassert\.deepEqual\s*\("),
    "go": re.compile(r"\bassert\.(?:Equal|NotEqual|True|False)\s*\(|\bexpected:"),
    "rust": re.compile(r"\bassert(?:_eq|_ne)?!\s*\("),
    "csharp": re.compile(r"\bDebug\.Assert\s*\("),
    "php": re.compile(r"\bif\s*\("),
    "perl": re.compile(r"\beq_deeply\s*\("),
    "lua": re.compile(r"\blu\.assertEquals\s*\("),
    "ruby": re.compile(r"\bassert_equal\s*\("),
    "d": re.compile(r"\bassert\s*\("),
    "r": re.compile(r"\bstopifnot\s*\("),
    "scala": re.compile(r"\bassert\s*\("),
}
# A shell's test has no brackets to count.
_SHELL = re.compile(r"(?<= )= (\"(?:[^\"\\]|\\.)*\") \]\]$", re.MULTILINE)
# What a condition guards that states an expectation.
_THROWS = re.compile(r"\)\s*\{?\s*throw\b")
_OPPOSITES = {
    "Equal": "NotEqual",
    "NotEqual": "Equal",
    "True": "False",
    "False": "True",
    "assert_eq": "assert_ne",
    "assert_ne": "assert_eq",
    "deepEqual": "notDeepEqual",
    "assertEquals": "assertNotEquals",
    "assert_equal": "assert_not_equal",
    "eq_deeply": "!eq_deeply",
}
_COMPARING = ("Equal", "assert_eq", "deepEqual", "assertEquals", "assert_equal", "eq_deeply")
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "\"'`"
_INTEGER = re.compile(r"(-?\d{1,9})([lL]?)")
_FLOAT = re.compile(r"(-?\d{1,9})(\.\d+)")
_STRING = re.compile(r"([\"'])([\w ]+)\1")
_BOOLEANS = {"true": "false", "false": "true", "TRUE": "FALSE", "FALSE": "TRUE", "#t": "#f", "#f": "#t"}
_RACKET = re.compile(r"\((?:check-within|check-equal\?)\s")
# A word of Racket: a string, a character, or up to what ends it.
_RACKET_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|#\\.\w*|[()\[\]]|[^\s()\[\]"]+')
_R_EQUAL = re.compile(r"\s*(?:isTRUE\(all\.equal|identical)\(")


@dataclass(frozen=True)
class Expectation:
    """A place in the tests that states something: `start` to `end` is replaced by `negated`, or by what `other` draws
    where the expectation is a literal.
    """

    start: int
    end: int
    negated: str
    other: Callable[[random.Random], str] | None = None


def versions(language: str, tests: str, count: int, chance: random.Random) -> list[str]:
    """At most `count` versions of the tests with one expectation falsified, then one with all in the same way, then one
    with all negated. Empty where the tests state nothing that is understood.
    """
    places = expectations(language, tests)
    if not places:
        return []
    drawn = chance.sample(places, min(count, len(places)))
    single = [_replaced(tests, [place], chance) for place in drawn]
    return [*single, _replaced(tests, places, chance), _replaced(tests, places, None)]


def _replaced(tests: str, places: list[Expectation], chance: random.Random | None) -> str:
    for place in reversed(places):
        text = place.other(chance) if place.other and chance else place.negated
        tests = tests[: place.start] + text + tests[place.end :]
    return tests


def expectations(language: str, tests: str) -> list[Expectation]:
    """Every expectation that the tests state in the language's usual way, in order."""
    if language == "bash":
        return [_shell_comparison(each) for each in _SHELL.finditer(tests)]
    if language == "racket":
        return [_racket_check(tests, each.start()) for each in _RACKET.finditer(tests)]
    found: list[Expectation] = []
    for call in _CALLS[language].finditer(tests) if language in _CALLS else ():
        parts = _arguments(tests, call.end())
        if not parts or not all(tests[start:end].strip() for start, end in parts):
            continue
        if call[0].startswith("if"):
            start, end = parts[0][0], parts[-1][1]
            # Not where it only looks at the expectations collected above: negated too, the test would always fail.
            if _THROWS.match(tests, end) and ".contains(false)" not in tests[start:end]:
                found.append(_condition(tests, (start, end), "!=="))
            continue
        match call[0].split("(")[0].strip():
            case "assert" | "Debug.Assert":
                # A comma outside of brackets belongs to the macro's one argument.
                found.append(_condition(tests, (parts[0][0], parts[-1][1]), "=="))
            case "console.assert":
                found.append(_condition(tests, parts[0], "==="))
            case "stopifnot":
                found.append(_r_equality(tests, parts[0]))
            case "expected:":
                found.append(_other_value(tests, parts))
            case _ if language == "java":
                found += [_condition(tests, part, "==") for part in parts]
            case _:
                found.append(_comparing_call(tests, call, parts))
    return found


def _shell_comparison(found: re.Match[str]) -> Expectation:
    """`[[ $(candidate 1) = "2" ]]`"""
    other = _literal(found[1])
    drawn = (lambda chance: f"= {other(chance)} ]]") if other else None
    return Expectation(found.start(), found.end(), f"!{found[0]}", drawn)


def _racket_check(tests: str, start: int) -> Expectation:
    """`(check-within (candidate 1) 2 0.001)`; the one with which a check has to fail is completion_marker.py's."""
    depth, opened, end, parts = 0, start, start, list[tuple[int, int]]()
    for word in _RACKET_WORD.finditer(tests, start):
        if word[0] in ("(", "["):
            depth += 1
            opened = word.start() if depth == 2 else opened
        elif word[0] in (")", "]"):
            depth -= 1
            end = word.end()
            if depth == 0:
                break
            parts += [(opened, end)] if depth == 1 else []
        elif depth == 1:
            parts.append(word.span())
    negated = f"(harness-unmet (lambda () {tests[start:end]}))"
    first, last = parts[2] if len(parts) > 2 else (end, end)
    other = _literal(tests[first:last])
    return Expectation(
        start, end, negated, _inside(tests[start:first], other, tests[last:end]) if other else None
    )


def _other_value(tests: str, parts: list[tuple[int, int]]) -> Expectation:
    """Go: a value that is compared as it is printed."""
    start, end = parts[0][0], parts[-1][1]
    return Expectation(start, end, f' fmt.Sprintf("%v;", {tests[start:end]})', _literal(tests[start:end]))


def _condition(tests: str, part: tuple[int, int], comparison: str) -> Expectation:
    """A condition: what it is compared with if that is a literal, else the whole of it."""
    start, end = part
    text = tests[start:end]
    sides = _split(text, comparison)
    if len(sides) == 2 and not re.search(r"&&|\|\||\?|[^<>=!]=[^=]", text) and (other := _literal(sides[1])):
        return Expectation(start, end, f"!({text})", lambda chance: sides[0] + comparison + other(chance))
    return Expectation(start, end, f"!({text})")


def _r_equality(tests: str, part: tuple[int, int]) -> Expectation:
    """`isTRUE(all.equal(candidate(1), 2))`, or `identical(candidate(1), 2)`"""
    start, end = part
    other, negated = None, f"!({tests[start:end]})"
    if found := _R_EQUAL.match(tests, start, end):
        sides = _arguments(tests, found.end())
        first, last = sides[1] if len(sides) == 2 else (end, end)
        if drawn := _literal(tests[first:last]):
            other = _inside(tests[start:first], drawn, tests[last:end])
    return Expectation(start, end, negated, other)


def _comparing_call(tests: str, call: re.Match[str], parts: list[tuple[int, int]]) -> Expectation:
    """A call whose name says what is compared."""
    start, end = call.start(), parts[-1][1]
    text = tests[start:end]
    name = re.findall(r"\w+", call[0])[-1]
    if name == "assert":
        first, last = parts[0]
        negated = tests[start:first] + f"!({tests[first:last]})" + tests[last:end]
        return Expectation(start, end, negated)
    opposite = text.replace(name, _OPPOSITES[name], 1)
    if name in _COMPARING and len(parts) >= 2:
        for first, last in parts[:2]:
            if other := _literal(tests[first:last]):
                return Expectation(start, end, opposite, _inside(tests[start:first], other, tests[last:end]))
    return Expectation(start, end, opposite)


def _inside(before: str, other: Callable[[random.Random], str], after: str) -> Callable[[random.Random], str]:
    return lambda chance: before + other(chance) + after


def _literal(text: str) -> Callable[[random.Random], str] | None:
    """Draws another literal of the same kind and length; None if it is not one."""
    inner = text.strip()
    lead, tail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    if inner in _BOOLEANS:
        return lambda chance: lead + _BOOLEANS[inner] + tail
    if inner[:1] == "(" and inner[-1:] == ")":
        other = _literal(inner[1:-1])
        return (lambda chance: f"{lead}({other(chance)}){tail}") if other else None
    if found := _INTEGER.fullmatch(inner):
        number, long = found.groups()
        return lambda chance: lead + _other_digits(number, chance) + long + tail
    if found := _FLOAT.fullmatch(inner):
        whole, fraction = found.groups()
        return lambda chance: lead + _other_digits(whole, chance) + fraction + tail
    if found := _STRING.fullmatch(inner):
        quote, letters = found.groups()
        return lambda chance: f"{lead}{quote}{_other_letter(letters, chance)}{quote}{tail}"
    return None


def _other_digits(number: str, chance: random.Random) -> str:
    """Another last digit; zero never appears where it would begin the number, nor with a sign."""
    return number[:-1] + chance.choice([digit for digit in "123456789" if digit != number[-1]])


def _other_letter(text: str, chance: random.Random) -> str:
    at = chance.randrange(len(text))
    return text[:at] + chance.choice([letter for letter in "aeinorst" if letter != text[at]]) + text[at + 1 :]


# ---------------------------------------------------------------- brackets


def _arguments(text: str, start: int) -> list[tuple[int, int]]:
    """Where the arguments of the call lie whose opening bracket ends at `start`; empty where it does not close."""
    parts: list[tuple[int, int]] = []
    begin = start
    for at, depth in _walk(text, start):
        if depth < 0:
            return [*parts, (begin, at)]
        if depth == 0 and text[at] == ",":
            parts.append((begin, at))
            begin = at + 1
    return []


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that are in no bracket and no literal."""
    parts: list[str] = []
    begin = 0
    for at, depth in _walk(text, 0):
        if (
            depth == 0
            and at >= begin
            and text.startswith(separator, at)
            and text[at - 1 : at] not in tuple("!<>=")
        ):
            parts.append(text[begin:at])
            begin = at + len(separator)
    return [*parts, text[begin:]]


def _walk(text: str, start: int) -> list[tuple[int, int]]:
    """Every place outside of literals, with how many brackets are open there; ends where one too many closes."""
    places, depth, at = [], 0, start
    while at < len(text):
        sign = text[at]
        # An apostrophe alone in its line is Rust's, before the name of a lifetime.
        if sign in _QUOTES and not (sign == "'" and "'" not in text[at + 1 :].split("\n", 1)[0]):
            at = _after_literal(text, at)
            continue
        if sign in _CLOSE:
            depth -= 1
        places.append((at, depth))
        if depth < 0:
            return places
        if sign in _OPEN:
            depth += 1
        at += 1
    return places


def _after_literal(text: str, at: int) -> int:
    quote, at = text[at], at + 1
    while at < len(text) and text[at] != quote:
        at += 2 if text[at] == "\\" else 1
    return at + 1
