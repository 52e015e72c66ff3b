"""Operations that do not exist: code with made-up names, and ways to ask for it.

A question about one can only be answered by copying the pattern of an example in the prompt, which is
what the model is to learn from them. Each is drawn anew, so none can be learnt by heart.
"""

import random
import re
from dataclasses import dataclass

from tools.demo_model import slots


@dataclass(frozen=True)
class Operation:
    """A line of code with slots and the ways to ask for it."""

    code: str
    phrasings: tuple[str, ...]


VERBS = slots.listed("""
get find compute make set add remove check count show plot read write load save open start stop send
fetch parse format merge split group sort filter select rename replace convert reset update apply
scale resize round mark build draw call register schedule submit validate normalize encode decode
compress rotate crop blend trim attach connect list create
""")
NOUNS = slots.listed("""
mean sum column row table frame array matrix vector plot axis request response page url query
session cursor image pixel shape index window sample batch layer weight header cookie thread process
job queue lock socket packet widget button menu event signal handler route field form schema record
model graph node edge path archive stream buffer channel parser token tag element attribute style
font color margin border title legend label tick grid range step bin share rank score total median
variance quantile percentile maximum minimum average frequency histogram distance angle position
offset value values missing entries duplicates rows columns type name unit currency zone calendar
week month holiday deadline template digest
""")
LINKS = ("of", "in", "from", "for", "on")
EXTRAS = ("with", "using", "by", "to", "at", "and")
CONSTANTS = (
    "True",
    "False",
    "None",
    "0",
    "1",
    "-1",
    "'all'",
    "'first'",
    "'last'",
    "'utf-8'",
    "'w'",
    "10",
    "'left'",
    "'mean'",
)
TARGETS = ("list", "str", "dict", "num", "obj", "var", "file", "date", "var", "word", "int", "filename")
VALUES = ("int", "small", "float", "word", "key", "sep", "filename", "var", "num", "list")


def _callable(rng: random.Random) -> str:
    """A function or method name such as `sort_grid`, `zorvak`, `toFrame` or `nlargest`."""
    verb, noun = rng.choice(VERBS), rng.choice(NOUNS)
    joined = (
        f"{verb}_{noun}",
        f"{noun}_{verb}",
        verb + noun,
        verb + noun.capitalize(),
        noun[0] + verb,
        "is" + noun,
    )
    made = (
        slots.invented(rng),
        slots.invented(rng),
        f"{verb}_{slots.invented(rng)}",
        noun + rng.choice("123"),
    )
    return rng.choice((verb, noun, *joined, *made))


def _module(rng: random.Random) -> str:
    """A module name, often abbreviated as `np` and `plt` are."""
    letters = "".join(rng.choice("abcdefghiklmnpqrstvx") for _ in range(rng.choice((2, 2, 3))))
    return rng.choice(
        (
            letters,
            letters,
            rng.choice(NOUNS),
            slots.invented(rng),
            f"{slots.invented(rng)}.{rng.choice(NOUNS)}",
        )
    )


class _Draft:
    """Builds a line of code that uses each of the given slots at least once."""

    def __init__(self, slots_to_use: list[str], rng: random.Random) -> None:
        self.rng = rng
        self.left = list(slots_to_use)

    def take(self) -> str:
        """The next slot; a constant when all are used."""
        return self.left.pop(0) if self.left else self.rng.choice(CONSTANTS)

    def argument(self) -> str:
        name = self.rng.choice(NOUNS)
        match self.rng.randrange(12):
            case 0 | 1 | 2 | 3:
                return self.take()
            case 4 | 5:
                return f"{name}={self.take()}"
            case 6:
                return f"{name}={self.rng.choice(CONSTANTS)}"
            case 7:
                return f"{name}=[{self.take()}]"
            case 8:
                return f"[{self.take()}]"
            case 9:
                return f"({self.take()}, {self.take()})"
            case 10 if len(self.left) > 1:
                return f"{{{self.take()}: {self.take()}}}"
            case _:
                return f"{self.take()}.{_callable(self.rng)}()" if _is_name(self.left) else self.take()

    def call(self, least: int) -> str:
        """A callable and its arguments in parentheses."""
        count = max(least, self.rng.choice((0, 1, 1, 2)) if self.left else self.rng.choice((0, 0, 0, 1)))
        return f"{_callable(self.rng)}({', '.join(self.argument() for _ in range(count))})"

    def base(self) -> str:
        form = self.rng.randrange(6)
        if form < 2 and _is_name(self.left):
            return self.take()
        if form == 2 and _is_name(self.left) and len(self.left) > 1:
            return f"{self.take()}[{self.take()}]"
        return self.call(1) if form == 3 else f"{_module(self.rng)}.{self.call(1)}"

    def suffix(self) -> str:
        match self.rng.randrange(6):
            case 0 if self.left:
                return f"[{self.take()}]"
            case 1:
                return f".{self.rng.choice(NOUNS)}"
            case 2:
                return f".{self.rng.choice(NOUNS)}.{self.call(0)}"
            case _:
                return f".{self.call(0)}"

    def code(self) -> str:
        first = self.left[0]
        text = self.base()
        if not text.endswith(")") or self.rng.random() < 0.3:
            text += self.suffix()
        while self.left:
            text += self.suffix()
        match self.rng.randrange(16):
            case 0:
                return f"{_callable(self.rng)}({text})"
            case 1:
                return f"[{_callable(self.rng)}(x) for x in {text}]"
            case 2 if _is_name([first]):
                return f"{first} = {text}"
            case 3 if _is_name([first]):
                return f"{first}[{text}]"
            case _:
                return text


def _is_name(left: list[str]) -> bool:
    """Is the next slot a variable, not a literal?"""
    return bool(left) and _mention(left[0]).startswith("`")


def _mention(slot: str) -> str:
    """Names stand in backticks in a question, literals as they are."""
    kind = slot.strip("<>0123456789")
    return f"`{slot}`" if kind in slots.NAMES or kind in ("var", "attr") else slot


def _phrase(topic: tuple[str, str, str], used: list[str], rng: random.Random) -> str:
    """One way to ask: the topic's words in some order, then the slots in the order of the code, mostly."""
    verb, noun, other = topic
    names = [_mention(slot) for slot in used]
    head = rng.choice(
        (
            f"{verb} {noun}",
            f"{verb} the {noun}",
            f"{verb} {other} {noun}",
            f"{verb} the {other} {noun}",
            f"{noun} {other}",
        )
    )
    text = f"{head} {rng.choice(LINKS)} {rng.choice(('', '', 'the ' + rng.choice(NOUNS) + ' '))}{names[0]}"
    rest = names[1:]
    if len(rest) > 1 and rng.random() < 0.2:
        rest.reverse()
    return " ".join(
        [
            text,
            *(f"{rng.choice(EXTRAS)} {rng.choice(('', '', rng.choice(NOUNS) + ' '))}{name}" for name in rest),
        ]
    )


def _random_phrasings(rng: random.Random) -> tuple[str, ...]:
    """Three phrasings over one to four drawn slots that share most of their plain words."""
    kinds = [rng.choice(TARGETS), *(rng.choice(VALUES) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))]
    used = [f"<{kind}{i}>" for i, kind in enumerate(kinds, 1)]
    topic = (rng.choice(VERBS), rng.choice(NOUNS), rng.choice((*NOUNS, *slots.ADJECTIVES)))
    return tuple(_phrase(topic, used, rng) for _ in range(3))


def invent(rng: random.Random, phrasings: tuple[str, ...] = ()) -> Operation:
    """Draw one operation; the given phrasings of a real one make its questions look real."""
    phrasings = phrasings or _random_phrasings(rng)
    used = list(dict.fromkeys(found.group() for found in slots.SLOT.finditer(phrasings[0])))
    if not used:
        return invent(rng)
    return Operation(_Draft(used, rng).code(), phrasings)


def resembling(operation: Operation, rng: random.Random) -> Operation:
    """Another operation asked for in almost the same words: one word and one name in the code differ."""
    names = re.findall(r"\w+(?=\()", operation.code)
    plain = [
        set(re.findall(r"[a-z]{3,}", re.sub(r"<\w+>|'[^']*'", "", text))) for text in operation.phrasings
    ]
    shared = sorted(set.intersection(*plain))
    if not names or not shared:
        return invent(rng)
    old, new = rng.choice(shared), rng.choice(NOUNS)
    name = rng.choice(names)
    code = re.sub(rf"\b{name}\(", f"{_callable(rng)}(", operation.code)
    return Operation(code, tuple(re.sub(rf"\b{old}\b", new, text) for text in operation.phrasings))
