"""Training rows as text: a benchmark's problems or a file of JSON lines -> examples, turns of prompt and answer.

Prompts of problems and of pairs are built by `templates.render`, as in evaluation. Files may hold any of the
forms in `PAIRS`, `chat_rounds`, `text` (every token is learnt) or `turns` (texts taken to the letter). A row
that cannot be read is an error with file and line. It does not tokenise.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import ConfigError, DataError, unknown
from harness.prompts import templates
from harness.schema import Message, Problem, Prompt, Reference, Template
from harness.tasks.loading import data_files, registry
from harness.training.config import DataConfig

# Question and answer under other names; tried in this order.
PAIRS = (
    ("prompt", "answer"),
    ("prompt", "response"),
    ("instruction", "output"),
    ("input", "output"),
    ("instruction", "response"),
    ("question", "response"),
    ("question", "answer"),
    ("query", "answer"),
    ("nl", "cmd"),
)
USERS = ("user", "human")
ASSISTANTS = ("assistant", "bot", "gpt")
TEMPLATES: Mapping[str, Template] = {
    "alpaca": templates.INSTRUCTION,
    "plain": Template(name="plain", style="plain"),
    "chat": Template(name="chat", style="chat"),
    "mft_v1": Template(
        name="mft_v1",
        style="plain",
        question="<|role_start|>human<|role_end|>{question}<|role_start|>bot<|role_end|>",
    ),
    "mft_v3": Template(
        name="mft_v3", style="plain", question="<s>human\n{question}\n<s>bot\n", answer="{solution}\n"
    ),
}
SYSTEM = {  # by a template's name: how a row's own system text stands before its prompt
    "instruction": "{}\n\n",
    "plain": "{}\n\n",
    "mft_v1": "<|role_start|>system<|role_end|>{}",
    "mft_v3": "<s>system\n{}\n",
}


@dataclass(frozen=True)
class TrainingTurn:
    """A prompt and the answer that is learnt after it; `end`: the end-of-text token follows and is learnt too.

    `prompt` has messages in a chat and a text otherwise. In the turns after the first it continues the last answer.
    `question` is what of it the row itself says.
    """

    prompt: Prompt
    answer: str
    learn: bool = True
    end: bool = True
    question: str = ""


Example = tuple[TrainingTurn, ...]


@dataclass(frozen=True)
class Examples:
    """One training task's rows: what is learnt, what is validated on, and the digests of what was read."""

    train: Sequence[Example]
    validation: Sequence[Example]
    digests: Mapping[str, str]


def load(config: DataConfig, folder: str | None, seed: int, chat: bool = False) -> Examples:
    """The rows that `config` names; `chat`: the model has a chat template. Raises UserError."""
    if config.task:
        return _from_task(config, folder, seed, chat)
    template = TEMPLATES[config.template]
    train = list(read_file(Path(config.file).expanduser(), template, config.limit))
    digests = {config.file: _sha256(Path(config.file).expanduser())}
    if isinstance(config.validation, str) and config.validation not in ("auto", "none"):
        other = Path(config.validation).expanduser()
        digests[config.validation] = _sha256(other)
        return Examples(train, list(read_file(other, template, None)), digests)
    return _split(train, _validation_share(config), seed, digests)


def _from_task(config: DataConfig, folder: str | None, seed: int, chat: bool) -> Examples:
    task = registry.task(config.task, config.options)
    template = templates.select_template(task, config.prompt, chat)
    source = data_files.open_source(folder)
    found = [from_problem(template, p) for p in data_files.load(task, config.split, source, config.limit)]
    if isinstance(config.validation, str) and config.validation not in ("auto", "none"):
        raise ConfigError(
            f"data.validation = {config.validation!r}: for a task, 'auto', 'none' or a share of the rows"
        )
    if config.validation == "auto" and "validation" in task.card.sizes and config.split == "train":
        held = [from_problem(template, p) for p in data_files.load(task, "validation", source)]
        return Examples(found, held, dict(source.digests))
    return _split(found, _validation_share(config), seed, dict(source.digests))


def _validation_share(config: DataConfig) -> float:
    if isinstance(config.validation, str):
        return 0.0 if config.validation == "none" else 0.05
    return config.validation


def _split(found: list[Example], share: float, seed: int, digests: Mapping[str, str]) -> Examples:
    """Hold a share of the rows back for validation, drawn with the seed, and at least one."""
    import random

    count = min(max(1, round(share * len(found))), len(found) - 1) if share else 0
    chosen = set(random.Random(seed).sample(range(len(found)), count))
    return Examples(
        train=[row for i, row in enumerate(found) if i not in chosen],
        validation=[found[i] for i in sorted(chosen)],
        digests=digests,
    )


def from_problem(template: Template, problem: Problem, system: str = "") -> Example:
    """The prompt that evaluation asks (zero-shot), and the answer to learn."""
    asked = templates.render(template, problem)
    if system:
        asked = _with_system(template, asked, system)
    return (TrainingTurn(asked, templates.render_answer(template, problem), question=problem.question),)


def _with_system(template: Template, asked: Prompt, system: str) -> Prompt:
    if asked.messages:
        return Prompt(messages=(Message(role="system", content=system), *asked.messages))
    return Prompt(text=SYSTEM[template.name].format(system) + asked.text)


# ---------------------------------------------------------------- files


def read_file(path: Path, template: Template, limit: int | None) -> Iterator[Example]:
    """The file's examples in order. Raises DataError naming file and line, also when there are none."""
    count = 0
    for place, row in _lines(path):
        yield _example(place, row, template)
        count += 1
        if count == limit:
            return
    if not count:
        raise DataError(f'{path}: no training rows: expected JSON lines such as {{"instruction", "output"}}')


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{path}:{number}: not valid JSON: {error}") from None
                if not isinstance(row, dict):
                    raise DataError(f"{path}:{number}: expected an object, got {type(row).__name__}")
                yield f"{path}:{number}", row
    except FileNotFoundError:
        raise DataError(f"no training file {str(path)!r}") from None
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(place: str, row: Mapping[str, Any], name: str, empty: bool = False) -> str:
    value = row[name]
    if not isinstance(value, str) or not (empty or value.strip()):
        raise DataError(f"{place}: field {name!r}: expected a text, got {value!r}")
    return value


def _example(place: str, row: Mapping[str, Any], template: Template) -> Example:
    if "turns" in row:
        return _from_turns(place, row["turns"])
    if "chat_rounds" in row:
        return _from_chat_rounds(place, row["chat_rounds"], template)
    if "text" in row:
        said = _text(place, row, "text")
        return (TrainingTurn(Prompt(text=""), said, question=said),)
    for asks, answers in PAIRS:
        if asks in row and answers in row:
            question = _text(place, row, asks)
            if (asks, answers) == ("instruction", "output") and str(row.get("input") or "").strip():
                question += "\n\n" + _text(
                    place, row, "input"
                )  # Alpaca's third field is part of the question
            answer = _text(place, row, answers)
            problem = Problem(id=place, question=question, solution=answer, check=Reference(texts=(answer,)))
            return from_problem(template, problem, _text(place, row, "system") if row.get("system") else "")
    known = sorted({name for pair in PAIRS for name in pair} | {"chat_rounds", "text", "turns"})
    if any(asks in row for asks, _ in PAIRS):
        raise DataError(f"{place}: a row without an answer; it has {', '.join(sorted(row)) or 'no fields'}")
    nearest = unknown("training field", next(iter(row), ""), known)
    raise DataError(f"{place}: no question and answer in this row. {nearest}")


def _from_turns(place: str, turns: Any) -> Example:
    """[{"prompt", "answer", "learn": true}], texts taken to the letter; only the last answer ends the text."""
    if not isinstance(turns, list) or not turns:
        raise DataError(f"{place}: field 'turns': expected a list of objects")
    made = []
    for i, turn in enumerate(turns):
        if not isinstance(turn, dict) or not {"prompt", "answer"} <= set(turn):
            raise DataError(f"{place}: turns[{i}]: expected an object with 'prompt' and 'answer'")
        learn = turn.get("learn", True)
        if not isinstance(learn, bool):
            raise DataError(f"{place}: turns[{i}].learn: expected true or false, got {learn!r}")
        asked = Prompt(text=_text(place, turn, "prompt", empty=True))
        answer, last = _text(place, turn, "answer"), i == len(turns) - 1
        made.append(TrainingTurn(asked, answer, learn, end=last, question=asked.text))
    return tuple(made)


def _from_chat_rounds(place: str, rounds: Any, template: Template) -> Example:
    """chatML: an optional system message, then user and assistant in turn."""
    if not isinstance(rounds, list) or not all(isinstance(r, dict) and "role" in r for r in rounds):
        raise DataError(f"{place}: field 'chat_rounds': expected a list of {{role, content}}")
    system = ""
    if rounds and rounds[0]["role"] == "system":
        system, rounds = _text(place, rounds[0], "content"), rounds[1:]
    roles = [r["role"] for r in rounds]
    if (
        not roles
        or len(roles) % 2
        or any(role not in (ASSISTANTS if i % 2 else USERS) for i, role in enumerate(roles))
    ):
        raise DataError(f"{place}: chat_rounds must be user and assistant in turn, got {', '.join(roles)}")
    said = [_text(place, r, "content") for r in rounds]
    made: list[TrainingTurn] = []
    before: tuple[Message, ...] = (Message(role="system", content=system),) if system else ()
    for question, answer in zip(said[::2], said[1::2], strict=True):
        problem = Problem(id=place, question=question, solution=answer, check=Reference(texts=(answer,)))
        (turn,) = from_problem(template, problem, "" if made or template.style == "chat" else system)
        if template.style == "chat":
            asked = (*before, *turn.prompt.messages)
            before = (*asked, Message(role="assistant", content=turn.answer))
            turn = replace(turn, prompt=Prompt(messages=asked))
        elif made:
            turn = replace(turn, prompt=Prompt(text=template.between + turn.prompt.text))
        made.append(turn)
    return tuple(made)
