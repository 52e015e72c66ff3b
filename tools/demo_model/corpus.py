"""The training texts of the demo model: synthetic, endless, the same for the same seed.

Three shapes, in the formats that the harness prompts with: a function to complete, an instruction with its
answer, and solved examples before a question. No row of `tasks/mini` is among them: see `Reserved`. Not a
data set to train anything else on: it knows a few hundred operations and says each in a few ways.

`python -m tools.demo_model.corpus` prints some rows.
"""

import ast
import functools
import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.files import packaged
from tools.demo_model import families, functions, slots, tables
from tools.demo_model.invent import Operation, invent, resembling

MINI = packaged("tasks/mini")
DOUBLE_QUOTES = 0.6  # share of the texts that quote strings so; the mini benchmarks never do
INSTRUCTION = "### Instruction:\n{}\n### Response:\n"
BETWEEN = "\n\n"


@dataclass(frozen=True)
class Turn:
    """A prompt and its answer. `knowable` is False where nothing leads to it: a made-up operation's first."""

    prompt: str
    answer: str
    knowable: bool = True


@dataclass(frozen=True)
class Row:
    """One training text: turns in order, as they follow each other in the prompt."""

    turns: tuple[Turn, ...]

    @property
    def text(self) -> str:
        return "".join(turn.prompt + turn.answer for turn in self.turns)


@dataclass(frozen=True)
class Reserved:
    """What the corpus may not contain, because the mini benchmarks ask it: questions and function names."""

    questions: frozenset[str]
    names: frozenset[str]

    def allows(self, row: Row) -> bool:
        return all(plain(question) not in self.questions for question in questions(row))


def plain(text: str) -> str:
    """A question without case, blanks and line breaks, for comparing."""
    return "".join(text.lower().split())


def questions(row: Row) -> Iterator[str]:
    """The instructions of a row, or the prompt of a function."""
    head, tail = (part.strip() for part in INSTRUCTION.split("{}"))
    for turn in row.turns:
        text = turn.prompt.strip()
        yield text.removeprefix(head).removesuffix(tail).strip() if text.startswith(head) else turn.prompt


ASKED = (
    "intent",
    "rewritten_intent",
    "nl",
    "prompt",
    "text",
    "instruction",
    "question",
)  # columns with questions


@functools.cache
def reserved() -> Reserved:
    """Read what any mini row asks, test or train, and the names of the functions to complete."""
    table: list[dict[str, object]] = []
    for path in sorted(MINI.rglob("*.json")):
        table += json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(MINI.rglob("*.jsonl")):
        table += map(json.loads, path.read_text(encoding="utf-8").splitlines())
    texts = {str(row[column]) for row in table for column in ASKED if row.get(column)}
    names = {str(row["entry_point"]) for row in table if "entry_point" in row}
    return Reserved(frozenset(map(plain, texts)), frozenset(names))


@functools.cache
def one_liners() -> tuple[Operation, ...]:
    """The hand-written operations."""
    parsed = []
    for block in tables.blocks(tables.OPERATIONS):
        code, *phrasings = block.split("\n")
        parsed.append(Operation(code, tuple(line.strip() for line in phrasings)))
    return tuple(parsed)


@functools.cache
def family_one_liners() -> tuple[Operation, ...]:
    """The family functions as one-liners: `count the even numbers in <list>` and the expression for it."""
    operations = []
    for kind in families.functions():
        names = {"ints": "<list>", "words": "<list>", "text": "<str>", "k": "<int>", "letter": "<char>"}
        if "@" in kind.body or not set(kind.domains) <= set(names):
            continue
        code = kind.body.strip().removeprefix("return ")
        docs = [doc.rstrip(".") for doc in kind.docs if "True if" not in doc]
        docs = [doc[0].lower() + doc[1:].replace("Return whether", "check if") for doc in docs]
        for i, domain in enumerate(kind.domains, 1):
            slot = names[domain]
            code = code.replace(f"${i}", slot)
            docs = [
                doc.replace(f"${i}", f"`{slot}`" if slot in ("<list>", "<str>") else slot) for doc in docs
            ]
        operations.append(Operation(code, tuple(docs)))
    return tuple(operations)


def asked(operation: Operation, rng: random.Random) -> tuple[str, str]:
    """One (question, answer) of an operation."""
    phrasing = rng.choice(operation.phrasings)
    chosen = slots.draw((phrasing, operation.code), rng)
    question = slots.reword(slots.fill(phrasing, chosen), rng)
    if rng.random() < 0.1:
        question = question[0].upper() + question[1:]
    return question, slots.fill(operation.code, chosen)


@functools.cache
def _all_known() -> frozenset[Operation]:
    return frozenset((*one_liners(), *family_one_liners()))


def _known(rng: random.Random) -> Operation:
    return rng.choice(family_one_liners() if rng.random() < 0.12 else one_liners())


def _instructions(rng: random.Random) -> Row:
    """Known operations, often several that have nothing to do with each other: the shots of a random draw."""
    count = 1 if rng.random() < 0.45 else rng.choice((2, 3, 4, 5, 5, 6))
    return _shots([_known(rng) for _ in range(count)], rng)


def double_quoted(code: str) -> str:
    """The code with its strings in double quotes, or as it is where that would not be the same code."""
    other = code.replace("'", '"')
    try:
        same = '"' not in code and ast.dump(ast.parse(other)) == ast.dump(ast.parse(code))
    except SyntaxError:
        return code
    return other if same else code


def _completion(rng: random.Random, names: frozenset[str]) -> Row:
    kinds = families.functions() if rng.random() < 0.33 else functions.hand_written()
    return Row((Turn(*functions.render(rng.choice(kinds), rng, names)),))


def _shots(operations: Sequence[Operation], rng: random.Random) -> Row:
    """Ask one operation after the other; the last one is the question.

    All answers of a row quote strings alike. Which way, only examples can tell: that is what shots are good for
    even where they show another operation.
    """
    turns: list[Turn] = []
    double = rng.random() < DOUBLE_QUOTES
    seen: set[Operation] = set()
    for operation in operations:
        question, answer = asked(operation, rng)
        answer = double_quoted(answer) if double else answer
        knowable = operation in seen or operation in _all_known()
        turns.append(Turn((BETWEEN if turns else "") + INSTRUCTION.format(question), answer, knowable))
        seen.add(operation)
    return Row(tuple(turns))


def _made_up(rng: random.Random) -> Operation:
    """An invented operation; half are asked for in the words of a real one, as the shots shall decide."""
    return invent(rng, _known(rng).phrasings if rng.random() < 0.5 else ())


def _few_shot(rng: random.Random) -> Row:
    """Shots, then a question: a made-up operation that some shots show, or a known one that they may not show."""
    invented = rng.random() < 0.6
    operation = _made_up(rng) if invented else _known(rng)
    count = rng.choice((1, 2, 3, 4, 4, 4, 5, 6))
    least = 1 if invented else 0
    siblings = least if rng.random() < 0.4 else rng.randrange(least, count + 1)
    others = [_distractor(operation, rng) for _ in range(rng.choice((1, 2, 4)))]
    shots = [operation] * siblings + [rng.choice(others) for _ in range(count - siblings)]
    match rng.randrange(4):
        case 0:
            shots.reverse()
        case 1:
            pass
        case _:
            rng.shuffle(shots)
    return _shots([*shots, operation], rng)


def _distractor(operation: Operation, rng: random.Random) -> Operation:
    """An operation that is not asked for: of the made-up and known ones, or one that resembles the asked one."""
    draw = rng.random()
    if draw < 0.25:
        return resembling(operation, rng)
    return _made_up(rng) if draw < 0.55 else _known(rng)


def _echo(rng: random.Random) -> Row:
    """Words to repeat: the plainest exercise in copying, which everything else builds on."""
    makers = (slots.word, slots.identifier, slots.invented, slots.FILLERS["filename"], slots.FILLERS["int"])
    text = rng.choice((" ", " ", ", ", ".")).join(
        rng.choice(makers)(rng) for _ in range(rng.randrange(2, 12))
    )
    return Row((Turn(INSTRUCTION.format(f"repeat {text}"), text),))


def rows(seed: int, copying: float = 0.4) -> Iterator[Row]:
    """Yield rows without end.

    `copying` is the share of plain exercises in copying at the start: once a model can copy, it learns the rest
    faster. It falls to 3 % over some ten thousand rows.
    """
    rng = random.Random(seed)
    held = reserved()
    for i in itertools.count():
        draw = rng.random()
        if draw < max(0.03, copying - i / 30_000):
            row = _echo(rng)
        elif (draw := rng.random()) < 0.35:
            row = _few_shot(rng)
        elif draw < 0.7:
            row = _instructions(rng)
        else:
            row = _completion(rng, held.names)
        if held.allows(row):
            yield row


def main() -> None:
    for row in itertools.islice(rows(0), 12):
        print(row.text, end="\n<|endoftext|>\n")


if __name__ == "__main__":
    main()
