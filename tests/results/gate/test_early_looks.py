"""What a run does between its looks, where a model, a judge or its prompts fail on the way."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.config.load import parse
from harness.errors import BackendFault, IncompleteRun, UserError
from harness.results.baseline import read_baseline
from harness.results.gate import UntilClear
from harness.runs import looks, run
from harness.runs.resolve import ResolvedRun
from harness.runs.store.run_folder import RunFolder
from harness.schema import Generation, Request, Sampling, Summary
from tests.support.command import harness
from tests.support.parts.small_run import FakeBackend
from tests.support.recordings import edit, edit_rows, make, write_task

ORDER = [unit[0] for unit in looks.drawn_units({f"letters/{i}": "" for i in range(40)})]
LAST = int(ORDER[-1].split("/")[1])


@dataclass
class Backend(FakeBackend):
    """The prompts of the problems `long` do not fit."""

    long: frozenset[int] = frozenset()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        for made in super().generate(requests, sampling):
            n = int(made.problem_id.split("/")[1])
            finish = "skipped" if n in self.long else "eos"
            text = "" if n in self.long else made.completion.text
            said = made.completion.model_copy(update={"finish": finish, "text": text})
            yield made.model_copy(update={"completion": said})


@dataclass
class Looks:
    """True at the look number `enough`; keeps the first note that was there at each."""

    enough: int = 99
    notes: list[str] = field(default_factory=list)

    def check(self, whole: ResolvedRun) -> None:
        assert len(whole.problems) == 40

    def __call__(self, folder: Path) -> bool:
        self.notes.append(note(folder))
        return len(self.notes) == self.enough


def note(folder: Path) -> str:
    return str(json.loads((folder / "summary.json").read_text())["notes"][0])


def made(folder: Path, backend: FakeBackend, enough: Looks | None) -> Summary:
    plain = {
        "task": str(write_task(folder)),
        "options": {"problems": 40},
        "cache": "",
        "backend": {"model": "m"},
    }
    executor = run.Executor(open_backend=lambda config, names: backend)
    return run.run(parse(plain), folder / "run", executor=executor, enough=enough)[1]


def right(n: int, index: int) -> str:
    del index
    return f"x = {n}"


def test_it_says_stopped_only_once_it_was(tmp_path: Path) -> None:
    seen = Looks(enough=2)
    summary = made(tmp_path, FakeBackend(right), seen)
    assert [said.partition(",")[0] for said in seen.notes] == [
        f"partial: under way with --until-clear after {n} of 40 problems" for n in (10, 20)
    ]
    assert summary.notes[0].startswith(
        "partial: stopped by --until-clear after 20 of 40 problems, in an order"
    )
    assert summary.notes[0].endswith("the same command without it goes on")


def test_a_model_that_fails_between_two_looks_leaves_a_run_under_way(tmp_path: Path) -> None:
    def say(n: int, index: int) -> str:
        if f"letters/{n}" in ORDER[15:]:
            raise BackendFault("the model went away")
        return right(n, index)

    seen = Looks()
    with pytest.raises(IncompleteRun, match="the model went away"):
        made(tmp_path, FakeBackend(say), seen)
    assert len(seen.notes) == 1, "what lacks samples is not looked at"
    assert (
        "partial: under way with --until-clear after 20 of 40" in (tmp_path / "run/summary.json").read_text()
    )
    make(tmp_path / "good", range(40))
    baseline = ("--baseline", tmp_path / "b.json")
    assert harness("gate", tmp_path / "good", *baseline, "--write").code == 0
    assert harness("gate", tmp_path / "run", *baseline).code == 3


def test_a_sample_that_could_not_be_judged_decides_nothing(tmp_path: Path) -> None:
    make(tmp_path / "good", range(40))
    baseline = tmp_path / "b.json"
    assert harness("gate", tmp_path / "good", "--baseline", baseline, "--write").code == 0
    clear = UntilClear(read_baseline(baseline))
    made(tmp_path, FakeBackend(lambda n, index: "y"), Looks(enough=3))
    assert clear(tmp_path / "run")
    edit_rows(tmp_path / "run/judgements.jsonl", lambda rows: rows[5].update(status="fault", score=None))
    edit(tmp_path / "run/summary.json", lambda summary: summary.update(errors=1))
    assert not clear(tmp_path / "run")


def test_a_first_part_whose_prompts_are_all_too_long_is_no_run_of_which_that_is_so(tmp_path: Path) -> None:
    everyone = frozenset(range(40))
    summary = made(tmp_path, Backend(right, long=everyone - {LAST}), Looks())
    assert (summary.problems, summary.completions["skipped"]) == (40, 39)
    (tmp_path / "none").mkdir()
    for _ in range(2):
        with pytest.raises(UserError, match="no prompt of this run fits the model"):
            made(tmp_path / "none", Backend(right, long=everyone), Looks())


def test_a_run_without_looks_writes_its_summary_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(RunFolder, "write_summary", lambda self, summary: written.append(summary))
    made(tmp_path, FakeBackend(right), None)
    assert len(written) == 1
