"""Short functions with docstrings: tables become HumanEval-style prompts; examples come from running them.

Only the project's own bodies are run, never a model's. Not a parser of Python.
"""

import functools
import random
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.demo_model import slots, tables


@dataclass(frozen=True)
class Function:
    """One kind of function. `$1`.. are its arguments, `@` a small number; both occur in docs and body."""

    names: tuple[str, ...]
    domains: tuple[str, ...]
    returns: str
    docs: tuple[str, ...]
    body: str


@dataclass(frozen=True)
class Domain:
    """What an argument may be: its annotation, names it goes by, and how to draw a value."""

    annotation: str
    names: str
    value: Callable[[random.Random], Any]


LIST_NAMES = "numbers nums values xs lst items data arr seq elements scores list_of_numbers points series l"
TEXT_NAMES = "text s string sentence line phrase message st txt content"
WORD_NAMES = "word s string text name w st token label source other first second"
NUMBER_NAMES = "n num number value m count k size a b"
MEASURE_NAMES = "x y a b n m value number num p q left right low high"


def _ints(low: int, high: int, least: int = 0) -> Callable[[random.Random], list[int]]:
    def draw(rng: random.Random) -> list[int]:
        top = rng.choice((6, 10, high))
        return [rng.randrange(rng.choice((0, low)), top) for _ in range(rng.randrange(max(least, 2), 7))]

    return draw


def _plain_words(rng: random.Random, low: int, high: int) -> list[str]:
    words = [w for w in (rng.choice(slots.WORDS) for _ in range(rng.randrange(low, high))) if "_" not in w]
    return words or ["tree"]


def _text(rng: random.Random) -> str:
    words = _plain_words(rng, 1, 5)
    style = rng.randrange(5)
    if style == 0:
        words = [w.capitalize() for w in words]
    if style == 1:
        words.append(str(rng.randrange(100)))
    if style == 2:
        words[0] = words[0].capitalize()
    return " ".join(words)


def _word(rng: random.Random) -> str:
    short = "".join(rng.choice("abcd") for _ in range(rng.randrange(2, 6)))
    mirrored = short + short[::-1][rng.randrange(2) :]
    return rng.choice(
        (_plain_words(rng, 1, 2)[0], _plain_words(rng, 1, 2)[0], short, mirrored, slots.invented(rng))
    )


def _counts(rng: random.Random) -> dict[str, int]:
    return {w: rng.randrange(1, 12) for w in _plain_words(rng, 1, 4)}


def _matrix(rng: random.Random) -> list[list[int]]:
    width = rng.randrange(2, 4)
    return [[rng.randrange(10) for _ in range(width)] for _ in range(rng.randrange(1, 4))]


DOMAINS: dict[str, Domain] = {
    "ints": Domain("list[int]", LIST_NAMES, _ints(-9, 20)),
    "some": Domain("list[int]", LIST_NAMES, _ints(-9, 20, least=1)),
    "many": Domain("list[int]", LIST_NAMES, lambda rng: rng.sample(range(-5, 20), rng.randrange(3, 7))),
    "floats": Domain(
        "list[float]",
        LIST_NAMES,
        lambda rng: [rng.randrange(1, 9) + 0.5 * rng.randrange(2) for _ in range(4)],
    ),
    "words": Domain(
        "list[str]",
        "words strings names items texts labels lst tokens lines",
        lambda rng: _plain_words(rng, 1, 5),
    ),
    "somewords": Domain(
        "list[str]", "words strings names items texts labels lst tokens", lambda rng: _plain_words(rng, 2, 5)
    ),
    "text": Domain("str", TEXT_NAMES, _text),
    "word": Domain("str", WORD_NAMES, _word),
    "letter": Domain(
        "str", "letter char c ch character mark old new", lambda rng: rng.choice("abcdeilnorst")
    ),
    "sep": Domain("str", "sep separator delimiter glue", lambda rng: rng.choice((",", "-", "; ", "/", ":"))),
    "n": Domain("int", NUMBER_NAMES, lambda rng: rng.choice((rng.randrange(1, 13), rng.randrange(1, 31)))),
    "k": Domain("int", "k n count size times step limit width amount c d e", lambda rng: rng.randrange(1, 7)),
    "x": Domain("int", MEASURE_NAMES, lambda rng: rng.randrange(-9, 21)),
    "num": Domain("float", MEASURE_NAMES, lambda rng: rng.randrange(0, 20) / 4),
    "big": Domain(
        "int", NUMBER_NAMES, lambda rng: rng.choice((rng.randrange(10, 100), rng.randrange(100, 10000)))
    ),
    "year": Domain(
        "int", "year y", lambda rng: rng.choice((1900, 2000, 2024, 2023, 1996, 1999, 2100, 2020, 2018))
    ),
    "index": Domain("int", "index i column position", lambda rng: rng.randrange(2)),
    "counts": Domain(
        "dict[str, int]", "counts scores ages prices stock d totals mapping table other", _counts
    ),
    "pairs": Domain(
        "list[tuple[str, int]]", "pairs records entries rows", lambda rng: list(_counts(rng).items())
    ),
    "matrix": Domain("list[list[int]]", "matrix rows grid table lists nested", _matrix),
    "digits": Domain(
        "str", "s text line numbers string", lambda rng: " ".join(str(rng.randrange(30)) for _ in range(3))
    ),
    "snake": Domain("str", "name s identifier key", lambda rng: "_".join(_plain_words(rng, 2, 4))),
    "parens": Domain(
        "str",
        "s text brackets expression",
        lambda rng: rng.choice(("()", "(())", "(()", "())(", "()()", "((()))", ")(", "")),
    ),
}


def parse(block: str) -> Function:
    """One kind of function from its block in a table."""
    head, *rest = block.split("\n")
    found = re.fullmatch(r"([\w ]+) \(([\w ]+)\) -> (.+)", head)
    if found is None:
        raise ValueError(f"not a function header: {head!r}")
    docs = tuple(line.strip() for line in rest if not line.startswith("    "))
    body = "\n".join(line for line in rest if line.startswith("    ")) + "\n"
    return Function(tuple(found[1].split()), tuple(found[2].split()), found[3], docs, body)


@functools.cache
def hand_written() -> tuple[Function, ...]:
    """The hand-written kinds."""
    return tuple(map(parse, tables.blocks(tables.FUNCTIONS)))


def _argument_names(kind: Function, rng: random.Random) -> list[str]:
    """Draw a name for each argument that the body does not use for anything else."""
    taken = set(re.findall(r"(?<!\$)\b[A-Za-z_]\w*", kind.body))
    names: list[str] = []
    for domain in kind.domains:
        free = [name for name in DOMAINS[domain].names.split() if name not in taken]
        if not free:
            raise ValueError(f"{kind.names[0]}: no free name for an argument of domain {domain}")
        names.append(rng.choice(free))
        taken.add(names[-1])
    return names


def _put(text: str, arguments: list[str], number: str) -> str:
    text = re.sub(r"\$(\d)", lambda found: arguments[int(found[1]) - 1], text)
    return text.replace("@", number)


def _examples(source: str, name: str, kind: Function, count: int, rng: random.Random) -> list[str]:
    """Run the body on drawn values; a draw that fails or prints long is drawn again."""
    scope: dict[str, Any] = {}
    exec(source, scope)
    lines: list[str] = []
    for _ in range(40):
        values = [DOMAINS[domain].value(rng) for domain in kind.domains]
        call = f"{name}({', '.join(map(repr, values))})"
        try:
            answer = repr(scope[name](*values))
        except (ArithmeticError, LookupError, ValueError):
            continue
        if len(call) <= 60 and len(answer) <= 50 and f">>> {call}" not in lines:
            lines += [f">>> {call}", answer]
        if len(lines) == 2 * count:
            break
    return lines


def _signature(name: str, arguments: list[str], kind: Function, rng: random.Random) -> str:
    """Three house styles: no types, built-in generics, and `typing` with its import."""
    style = rng.choice(("plain", "plain", "builtin", "builtin", "typing", "typing", "typing"))
    if style == "plain":
        return f"def {name}({', '.join(arguments)}):\n"
    types = [DOMAINS[domain].annotation for domain in kind.domains]
    typed = ", ".join(
        f"{argument}: {annotation}" for argument, annotation in zip(arguments, types, strict=True)
    )
    head = f"def {name}({typed}) -> {kind.returns}:\n"
    if style == "builtin":
        return head
    upper = re.sub(r"\b(list|dict|tuple|set)\[", lambda found: found[1].capitalize() + "[", head)
    used = sorted(set(re.findall(r"\b(List|Dict|Tuple|Set)\[", upper)))
    return f"from typing import {', '.join(used)}\n\n\n{upper}" if used else upper


PREFIXES = ("get_", "find_", "compute_", "my_", "calc_", "make_")


def render(
    kind: Function, rng: random.Random, banned: Mapping[str, object] | frozenset[str] = frozenset()
) -> tuple[str, str]:
    """One prompt (imports, signature, docstring with examples) and its body; no name in `banned` is used."""
    arguments = _argument_names(kind, rng)
    number = str(rng.randrange(2, 10))
    name = _put(rng.choice(kind.names), arguments, number)
    if rng.random() < 0.2 or name in banned:
        name = rng.choice(PREFIXES) + name
    body = _put(kind.body, arguments, number)
    source = f"def {name}({', '.join(arguments)}):\n{body}"
    count = rng.choice((0, 1, 1, 1, 2, 2))
    examples = _examples(source, name, kind, count, rng) if count else []
    text = _put(slots.reword(rng.choice(kind.docs), rng, 0.2), arguments, number)
    lines = textwrap.wrap(text, 84) + examples
    first = rng.choice(('"""', '"""', '""" '))
    docstring = "".join(f"    {line}\n" for line in lines)[4:]
    return f'{_signature(name, arguments, kind, rng)}    {first}{docstring}    """\n', body
