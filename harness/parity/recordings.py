"""Recorded outputs with the verdict that somebody else gave them, and the ways in which published files hold them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.config.run import Scalar
from harness.files import decode, parse_json
from harness.schema import Completion, DataFile, Form, Problem, Source, Split

Problems = Mapping[str, Problem]  # in the benchmark's order


@dataclass(frozen=True)
class RecordedOutput:
    """`verdict` is the recorded one: passed, or how it failed; of a set of readings the official extraction."""

    id: str
    problem: Problem
    completion: Completion
    verdict: str


def same_outcome(recorded: str, own: str) -> bool:
    return (recorded == "passed") == (own == "passed")


def same_text(recorded: str, own: str) -> bool:
    return recorded.strip() == own.strip()


Outputs = Callable[[Source, Problems], Iterable[RecordedOutput]]


@dataclass(frozen=True)
class ParitySet:
    """A recording: the files it needs (`benchmark/name`, plain or .gz), and the task that judges it.

    `split` None: the recording has the problems itself. `scorer`: the task's first, unless named; `reading`: none, the
    answer is held against the official extraction.
    `causes`: why the verdict of an output, by its id, differs. `needs`: the language of the sandbox's table that has to
    be installed.
    """

    name: str
    files: tuple[str, ...]
    task: str
    outputs: Outputs
    options: Mapping[str, Scalar] = field(default_factory=dict)
    split: Split | None = "test"
    scorer: str = ""
    reading: bool = False
    agrees: Callable[[str, str], bool] = same_outcome
    causes: Mapping[str, str] = field(default_factory=dict)
    needs: str = ""


def at(place: str) -> DataFile:
    benchmark, _, name = place.partition("/")
    return DataFile(benchmark=benchmark, name=name)


def document(source: Source, place: str) -> Any:
    """A file that is one JSON value."""
    return parse_json(decode(source.blob(at(place)), Path(place)), place)


def passed(verdict: bool | str) -> str:
    """The recorded verdict as a word; one that is a word already says how it failed."""
    return verdict if isinstance(verdict, str) else "passed" if verdict else "failed"


def rows_by_id(place: str, verdict: str, form: Form) -> Outputs:
    """JSON lines with task_id, completion and a field that says whether it passed, or "passed" or how it failed."""

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        for row in source.rows(at(place), ("task_id", "completion", verdict)):
            said = Completion(text=row["completion"], form=form)
            yield RecordedOutput(row["task_id"], problems[row["task_id"]], said, passed(row[verdict]))

    return outputs


def evalplus(place: str, plus: bool) -> Outputs:
    """EvalPlus' eval_results.json: whole programs, judged on the base inputs or on all."""

    def outputs(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
        for name, rows in document(source, place)["eval"].items():
            for number, row in enumerate(rows):
                right = row["base_status"] == "pass" and (not plus or row["plus_status"] == "pass")
                said = Completion(text=row["solution"], form="program")
                yield RecordedOutput(numbered(name, number), problems[name], said, passed(right))

    return outputs


def references(source: Source, problems: Problems) -> Iterator[RecordedOutput]:
    """The benchmark's own solutions, which pass."""
    del source
    for problem in problems.values():
        yield RecordedOutput(
            problem.id, problem, Completion(text=problem.solution, form="continuation"), "passed"
        )


def numbered(name: str, number: int) -> str:
    """The id of a problem's sample; the first has the problem's own."""
    return f"{name}#{number}" if number else name
