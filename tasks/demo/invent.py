"""Operations that do not exist: code with made-up names, and ways to ask for it.

A question about one can only be answered by copying the pattern of an example in the prompt, which is
what the model is to learn from them. Each is drawn anew, so none can be learnt by heart.
"""

import random
from dataclasses import dataclass

from tasks.demo import slots


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
TARGETS = ("list", "str", "dict", "num", "obj", "var", "file", "date", "var")
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
    """Collects the slots that the code uses, so that the question can name them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.counts: dict[str, int] = {}
        self.used: list[str] = []

    def slot(self, kinds: tuple[str, ...]) -> str:
        kind = self.rng.choice(kinds)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.used.append(f"<{kind}{self.counts[kind]}>")
        return self.used[-1]

    def argument(self) -> str:
        match self.rng.randrange(7):
            case 0 | 1 | 2:
                return self.slot(VALUES)
            case 3:
                return f"{self.rng.choice(NOUNS)}={self.slot(VALUES)}"
            case 4:
                return f"{self.rng.choice(NOUNS)}={self.rng.choice(CONSTANTS)}"
            case 5:
                return self.rng.choice(CONSTANTS)
            case _:
                return f"[{self.slot(('int', 'word', 'key'))}]"

    def arguments(self, *leading: str) -> str:
        more = self.rng.choice((0, 0, 1, 1, 2)) if len(self.used) < 3 else 0
        return ", ".join([*leading, *(self.argument() for _ in range(more))])

    def base(self) -> str:
        target = self.slot(TARGETS)
        match self.rng.randrange(6):
            case 0 | 1:
                return target
            case 2:
                return f"{_callable(self.rng)}({self.arguments(target)})"
            case 3 | 4:
                return f"{_module(self.rng)}.{_callable(self.rng)}({self.arguments(target)})"
            case _:
                return f"{target}[{self.slot(('key', 'small', 'key'))}]"

    def suffix(self) -> str:
        match self.rng.randrange(6):
            case 0 | 1 | 2:
                return f".{_callable(self.rng)}({self.arguments()})"
            case 3:
                return f".{self.rng.choice(NOUNS)}"
            case 4:
                return f"[{self.slot(('key', 'small', 'int'))}]"
            case _:
                return f".{self.rng.choice(NOUNS)}.{_callable(self.rng)}({self.arguments()})"

    def code(self) -> str:
        text = self.base()
        least = 0 if text.endswith(")") else 1
        for _ in range(self.rng.choice((least, 1, 1, 2))):
            text += self.suffix()
        match self.rng.randrange(14):
            case 0:
                return f"{_callable(self.rng)}({text})"
            case 1:
                return f"[{_callable(self.rng)}(x) for x in {text}]"
            case 2:
                return f"{self.used[0]} = {text}"
            case 3:
                return f"{self.used[0]}[{text} > {self.slot(('int',))}]"
            case 4:
                return f"{self.slot(('var',))} = {text}"
            case _:
                return text


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


def invent(rng: random.Random) -> Operation:
    """Draw one operation with three phrasings that share most of their plain words."""
    draft = _Draft(rng)
    code = draft.code()
    topic = (rng.choice(VERBS), rng.choice(NOUNS), rng.choice((*NOUNS, *slots.ADJECTIVES)))
    return Operation(code, tuple(_phrase(topic, draft.used, rng) for _ in range(3)))
