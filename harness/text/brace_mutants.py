"""The versions of mutants.py for a program in Java or JavaScript: mutants, stubs, equivalent rewrites, coverage probes.

By text alone: literals and comments are masked, and what stands outside of them is told by its punctuation. So a
version may fail to compile, or change where it should not; who runs them keeps those that the benchmark's own
tests compile, reach or notice. Faults are put behind the first brace of a function only, never into its comment.
"""

import random
import re
from collections.abc import Iterator

from harness.text.mutants import PROBE_EXIT_STATUS, CoverageProbe

_EXIT = {"java": f"System.exit({PROBE_EXIT_STATUS});", "javascript": f"process.exit({PROBE_EXIT_STATUS});"}
_NOTHING = {"java": "null", "javascript": "undefined"}
_UNUSED = {"java": " int unused_ = 0;", "javascript": " const unused_ = 0;"}

# Comments, strings, templates, and regular expressions where an operand may begin. One that is not closed is none, but
# where much stands behind it, it ends with the line or the text: models write such texts too, and each of its
# quotes would else be searched to the end.
_MASKED = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)"
    r'|"(?:\\.|[^"\\\n])*+"|"(?:\\.|[^"\\\n]){100,}+'
    r"|'(?:\\.|[^'\\\n])*+'|'(?:\\.|[^'\\\n]){100,}+"
    r"|`(?:\\.|[^`\\])*+(?:`|\\?\Z)"
    r"|(?<=[(,=:\[!&|?{};\n]) *+/(?![*/])"
    r"(?:(?:\\[^\n]|\[(?:\\[^\n]|[^\]\\\n])*+\]|[^/\\\n\[])++/[a-z]*|(?=[^\n]{100})[^\n]*)",
    re.DOTALL,
)
_SWAPS = {
    "+": "-", "-": "+", "*": "+", "/": "*", "%": "*", "+=": "-=", "-=": "+=", "*=": "+=", "++": "--", "--": "++",
    "&&": "||", "||": "&&", "==": "!=", "!=": "==", "===": "!==", "!==": "===", "true": "false", "false": "true",
    "break": "continue", "continue": "break",
}  # fmt: skip
_BOUNDS = {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<")}
_OPERATOR = re.compile(
    r"(?<=\s)(?:===|!==|==|!=|<=|>=|&&|\|\||\+=|-=|\*=|[-+*/%<>])(?=\s)|\+\+|--|\b(?:true|false|break|continue)\b"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_RETURN = re.compile(r"\breturn\s+([^;\n{}]+)(?=;|\n\s*\})")
_NOT = re.compile(r"!(?=[\w(])")
_TEXT = re.compile(r'"(?:\\.|[^"\\\n])+"|\'(?:\\.|[^\'\\\n]){2,}\'')
_CONTROL = re.compile(
    r"(?:\b(?:if|for|while)\b[^{};]*\)|\belse|\bdo)\s*$", re.DOTALL
)  # before the brace of a branch
_NO_STATEMENT = re.compile(r"(?:[})\].,?:+*/%&|=<>]|(?:else|case|default|catch|finally)\b|-(?!-))")
_HEADER = re.compile(r"\b(?:if|for|while)\b[^\n]*\)\s*$|\belse\s*$")

# What a function gives that does nothing, by its type in Java; two values, so that one of them is wrong.
_NUMBERS = ("0", "-97")
_DEFAULTS = {
    **{kind: tuple(f"({kind}) {value}" for value in _NUMBERS) for kind in ("byte", "short", "float", "char")},
    **dict.fromkeys(("int", "long", "double"), _NUMBERS),
    "boolean": ("false", "true"),
    "void": ("",),
}


def mask(code: str) -> str:
    """The code with spaces in place of comments and of what stands in literals; every other character has its place."""
    return _MASKED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), code)


def functions(masked: str, name: str) -> list[tuple[int, int, int]]:
    """Where functions called `name` are defined: start, place behind the opening brace, place of the closing one."""
    called, kind = re.escape(name), r"[\w<>\[\], ?.]"
    modifier = r"(?:public|private|protected|static|final)"
    head = re.compile(
        rf"(?:const|let|var)\s+{called}\s*=[^{{;]{{0,1000}}\{{"
        rf"|function(?:\s*\*)?\s+{called}\s*\([^{{;]{{0,1000}}\{{"
        # A line of modifiers above, or all from where what may be a type begins.
        rf"|(?:\b(?:{modifier} +){{0,4}}{modifier} *+[^\S ]\s*+(?:{modifier}\s++){{0,4}}{kind}|(?<!{kind}){kind})"
        rf"{kind}*[\s\]>]{called}\s*\([^{{;=]{{0,1000}}\{{"
    )
    ends = _closings(masked)
    return [
        (match.start(), match.end(), ends.get(match.end() - 1, len(masked)))
        for match in head.finditer(masked)
        if re.match(r"\s*(?:return|new|else)\b", match[0]) is None
    ]


def _closings(masked: str) -> dict[int, int]:
    """The place of each brace that is closed -> that of the one that closes it."""
    opened: list[int] = []
    found = {}
    for brace in re.finditer(r"[{}]", masked):
        if brace[0] == "{":
            opened.append(brace.start())
        elif opened:
            found[opened.pop()] = brace.start()
    return found


def closing(masked: str, at: int) -> int:
    """The place of the brace that closes the block whose inside begins at `at`; the end where none does."""
    depth = 1
    for place in range(at, len(masked)):
        depth += (masked[place] == "{") - (masked[place] == "}")
        if depth == 0:
            return place
    return len(masked)


def _inside(masked: str) -> int:
    """Where the first function begins: behind its brace, in Java that of the class's first method."""
    found = re.search(r"\)\s*(?:throws [\w., ]+)?\{|=>\s*\{", masked)
    return found.end() if found else len(masked)


def make_mutants(code: str, count: int, language: str, seed: int = 0) -> list[str]:
    """At most `count` different programs with one fault each, drawn from all there are."""
    faults = list(_faults(code, mask(code), _NOTHING[language]))
    random.Random(f"{seed}:{language}:{code}").shuffle(faults)
    found = dict.fromkeys(code[:start] + other + code[end:] for start, end, other in faults)
    return list(found)[:count]


def _faults(code: str, masked: str, nothing: str) -> Iterator[tuple[int, int, str]]:
    begin = _inside(masked)
    for match in _OPERATOR.finditer(masked, begin):
        for other in _BOUNDS.get(match[0]) or (_SWAPS[match[0]],):
            yield match.start(), match.end(), other
    for match in _NUMBER.finditer(masked, begin):
        for number in (int(match[0]) + 1, int(match[0]) - 1):
            yield match.start(), match.end(), str(number) if number >= 0 else f"({number})"
    for match in _RETURN.finditer(masked, begin):
        if match[1].count("(") == match[1].count(")") and code[match.start(1) : match.end(1)] != nothing:
            yield match.start(1), match.end(1), nothing
    for match in _NOT.finditer(masked, begin):
        yield match.start(), match.end(), ""
    for match in _TEXT.finditer(code, begin):
        if not masked[match.start() : match.end()].strip() and masked[match.start() - 1] in " (,=[:":
            yield match.start(), match.end(), match[0][0] * 2


def stubbed_versions(code: str, entry: str, language: str) -> tuple[str, ...]:
    """Programs whose `entry` ignores its arguments: what it returns is nothing, or a value that cannot be meant.

    Empty where `entry` is no function. In Java a type that can be null has one such version, the others two.
    """
    masked = mask(code)
    found = functions(masked, entry)
    if not found:
        return ()
    start, opened, end = found[0]
    values: tuple[str, ...] = ("undefined", "Symbol('stub')")
    if language == "java":
        head = re.sub(r"\b(?:public|private|protected|static|final)\b", " ", masked[start:opened])
        kind = head.partition(f"{entry}")[0].strip()
        values = _DEFAULTS.get(kind, ("null",))
    return tuple(f"{code[:opened]} return {value}; {code[end:]}" for value in values)


def rewrite_equivalently(code: str, language: str) -> str:
    """The same program with an unused local variable in its first function: another text, where that can be read."""
    begin = _inside(mask(code))
    return code[:begin] + _UNUSED[language] + code[begin:]


def coverage_probes(code: str, language: str) -> list[CoverageProbe]:
    """A probe at each line that begins a statement in a function; at the first one in a block of if, else, for,
    while or do it is one for that branch as well. An absent `else` is none."""
    masked = mask(code)
    place, begin = 0, _inside(masked)
    found = []
    for line in masked.splitlines(keepends=True):
        at = place + len(line) - len(line.lstrip())
        place += len(line)
        before = masked[:at].rstrip()
        if at <= begin or not line.strip() or not _begins_statement(line.strip(), before, language):
            continue
        branch = before.endswith("{") and _CONTROL.search(before[:-1]) is not None
        probe = f"{code[:at]}{_EXIT[language]} {code[at:]}"
        found.append(CoverageProbe(probe, line=True, branch=branch))
    return found


def _begins_statement(line: str, before: str, language: str) -> bool:
    if _NO_STATEMENT.match(line):
        return False
    if before[-1:] in ("{", "}", ";"):
        return True
    # JavaScript may leave semicolons out: then a line ends a statement unless something is open or announced.
    if language != "javascript" or _HEADER.search(before[before.rfind("\n") + 1 :]):
        return False
    depth = sum(before.count(mark) for mark in "([") - sum(before.count(mark) for mark in ")]")
    return depth == 0 and before[-1:] not in "(,[=+-*/%<>&|?:!." and not line.startswith("(")
