"""The runner on a small task: what each stage leaves; what faults, recordings and workers change."""

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import backends, scorers
from harness.config.load import parse
from harness.config.run import JudgeConfig, RunConfig
from harness.errors import BackendFault, ConfigError, Fault, IncompleteRun, SandboxFault
from harness.runs import judge as judging
from harness.runs import plan
from harness.runs import run as runner
from harness.schema import (
    Answer,
    Capabilities,
    Card,
    Completion,
    DataFile,
    ExecResult,
    Generation,
    Problem,
    Program,
    Prompt,
    Reduce,
    Reference,
    Request,
    Sampling,
    Sandbox,
    Score,
    Scorer,
    Source,
    Split,
    Summary,
    Task,
    Template,
    UnitTests,
    Verdict,
)
from harness.tasks.loading import data_files
from tests.support.command import mini_humaneval, rows, write_rows

FILE = DataFile("small", "rows.jsonl")
WANTED = ("a", "b", "c", "d")  # each problem's right answer


# ---------------------------------------------------------------- a small world


def load(split: Split, source: Source) -> Iterable[Problem]:
    del split
    for row in source.rows(FILE):
        yield Problem(
            id=f"small/{row['n']}",
            question=f"letter {row['n']}?",
            solution=row["letter"],
            check=UnitTests(code=row["letter"], entry_point="f"),
            group=row["group"],
        )


def whole(problem: Problem, completion: Completion) -> str:
    del problem
    return completion.text


def lengths() -> Scorer:
    """A scorer that needs no sandbox: how long the answer is."""

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        assert sandbox is None
        for _, answer in answers:
            yield Verdict("scored", Score(value=float(len(answer))))

    mean = Reduce(lambda scores: np.array([scores[:, 0].mean()]))
    return Scorer("length", score, lambda ks: {"length": mean})


def small_task(*scores: Scorer, samples: int = 1, temperature: float = 0.0) -> Task:
    return Task(
        name="small",
        version=3,
        load=load,
        templates=(Template(name="plain", style="plain", stop=("\n",)),),
        extract=whole,
        scorers=scores or (scorers.unit_tests,),
        sampling=Sampling(samples=samples, temperature=temperature, max_tokens=8),
        card=Card(title="", paper="", licence="", url="", sizes={"test": 4}, setting=""),
    )


@dataclass
class FakeSandbox:
    """Passes a program that is the letter its tests name; `broken` programs are faults."""

    broken: set[str] = field(default_factory=set)
    isolation: str = "fake"
    judged: list[str] = field(default_factory=list)
    packages: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return dict.fromkeys(sorted(languages), "1.2.3")

    def run(self, program: Program) -> ExecResult:
        raise NotImplementedError

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        for program in programs:
            self.judged.append(program.code)
            if program.code in self.broken:
                yield SandboxFault("the worker died")
            else:
                assert program.tests is not None
                yield ExecResult(status="passed" if program.code == program.tests.code else "failed")

    def __enter__(self) -> "FakeSandbox":
        return self

    def __exit__(self, *error: object) -> None:
        pass


@dataclass
class FakeBackend:
    """Answers problem n's sample i with `say(n, i)`, in a shuffled order; stops after `most` samples."""

    say: Callable[[int, int], str]
    counts: Mapping[str, int] | None = None
    unmatched: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    most: int | None = None
    seed: int = 0
    asked: list[Request] = field(default_factory=list)
    closed: bool = False

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(recorded=self.counts is not None)

    @property
    def identity(self) -> Mapping[str, str]:
        return {"kind": "fake", "dtype": "float32", "engine": "fake 1"}

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        self.asked += requests
        wanted = [(request, index) for request in requests for index in request.indices]
        random.Random(self.seed).shuffle(wanted)
        for made, (request, index) in enumerate(wanted):
            if made == self.most:
                raise BackendFault("the model went away")
            text = self.say(int(request.problem_id.split("/")[1]), index)
            completion = Completion(text=text, finish="eos", prompt_tokens=2, completion_tokens=len(text))
            yield Generation(
                problem_id=request.problem_id,
                index=index,
                prompt_sha=request.prompt.sha,
                completion=completion,
            )

    def tokens(self, prompt: Prompt) -> int:
        return len(prompt.text)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return True

    def close(self) -> None:
        self.closed = True


def right(n: int, index: int) -> str:
    del index
    return WANTED[n]


@dataclass
class World:
    """A data folder, and runs in it."""

    folder: Path
    patch: pytest.MonkeyPatch
    out: str = "run"

    def run(
        self,
        backend: FakeBackend,
        /,
        sandbox: FakeSandbox | None = None,
        task: Task | None = None,
        progress: plan.Progress = plan.no_progress,
        **config: Any,
    ) -> Summary:
        self.patch.setattr(plan.registry, "task", lambda name, options: task or small_task())
        self.patch.setattr(backends, "load", lambda config, ids: backend)
        self.patch.setattr(runner, "open_sandbox", lambda judge, task: sandbox or FakeSandbox())
        config = {"task": "small", "data": str(self.folder), "backend": {"model": "m"}, **config}
        return runner.run(parse(config), self.folder / self.out, progress)[1]

    def file(self, name: str) -> bytes:
        return (self.folder / self.out / name).read_bytes()

    def files(self) -> dict[str, bytes]:
        names = ("run.json", "generations.jsonl", "judgements.jsonl", "summary.json")
        return {name: self.file(name) for name in names}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "small").mkdir()
    write_rows(
        tmp_path / "small" / "rows.jsonl",
        [{"n": n, "letter": letter, "group": "xy"[n % 2]} for n, letter in enumerate(WANTED)],
    )
    return World(tmp_path, monkeypatch)


def values(summary: Summary) -> dict[str, float]:
    return {name: round(estimate.value, 6) for name, estimate in summary.metrics.items()}


# ---------------------------------------------------------------- stages


def test_a_run_leaves_a_generation_and_a_judgement_of_every_sample_in_canonical_order(world: World) -> None:
    backend = FakeBackend(lambda n, i: WANTED[n] if n < 3 else "wrong")
    summary = world.run(backend)
    assert [
        (row["problem_id"], row["index"]) for row in rows(world.folder / "run" / "generations.jsonl")
    ] == [
        ("small/0", 0),
        ("small/1", 0),
        ("small/2", 0),
        ("small/3", 0),
    ]
    assert rows(world.folder / "run" / "judgements.jsonl")[3] == {
        "problem_id": "small/3",
        "index": 0,
        "scorer": "unit_tests",
        "answer": "wrong",
        "status": "failed",
        "score": {"value": 0.0, "stats": [], "note": ""},
        "error": "",
    }
    assert summary.status_counts == {"failed": 1, "passed": 3}
    assert values(summary)["pass@1"] == 0.75
    assert (summary.metrics["pass@1"].n, summary.metrics["pass@1"].k) == (4, 3)
    assert (summary.problems, summary.samples, summary.errors) == (4, 4, 0)
    assert summary.cost == {"completion_tokens": 8.0, "prompt_tokens": 8.0}
    assert json.loads(world.file("summary.json")) == summary.model_dump(mode="json")
    assert backend.closed


def test_the_prompt_hash_of_every_generation_is_that_of_the_prompt(world: World) -> None:
    backend = FakeBackend(right)
    world.run(backend)
    for request, row in zip(backend.asked, rows(world.folder / "run" / "generations.jsonl"), strict=True):
        assert request.prompt.text == f"letter {request.problem_id[-1]}?"
        assert row["prompt_sha"] == request.prompt.sha


def test_the_files_do_not_depend_on_the_order_in_which_the_backend_yields(world: World) -> None:
    task = small_task(scorers.unit_tests, lengths(), samples=3, temperature=1.0)
    found = []
    for seed in range(4):
        world.out = f"run{seed}"
        world.run(FakeBackend(lambda n, i: f"{WANTED[n]}{i}"[: 1 + i], seed=seed), task=task)
        found.append(world.files())
    assert found[1:] == found[:1] * 3
    order = [
        (row["problem_id"], row["index"], row["scorer"])
        for row in rows(world.folder / "run0" / "judgements.jsonl")
    ]
    assert order[:4] == [
        ("small/0", 0, "unit_tests"),
        ("small/0", 0, "length"),
        ("small/0", 1, "unit_tests"),
        ("small/0", 1, "length"),
    ]
    assert len(order) == 24


def test_the_same_call_again_asks_nothing_judges_nothing_and_changes_no_byte(world: World) -> None:
    world.run(FakeBackend(right))
    before, times = world.files(), world.file("timings.jsonl")
    backend, sandbox = FakeBackend(right), FakeSandbox()
    world.run(backend, sandbox)
    assert (backend.asked, sandbox.judged) == ([], [])
    assert world.files() == before
    assert world.file("timings.jsonl") == times


def test_a_backend_that_breaks_keeps_what_it_made_and_is_asked_for_the_rest(world: World) -> None:
    task = small_task(samples=2, temperature=1.0)
    with pytest.raises(IncompleteRun, match="the model went away"):
        world.run(FakeBackend(right, most=5), task=task)
    made = {(row["problem_id"], row["index"]) for row in rows(world.folder / "run" / "generations.jsonl")}
    assert len(made) == 5
    backend = FakeBackend(right)
    world.run(backend, task=task)
    asked = {(request.problem_id, index) for request in backend.asked for index in request.indices}
    assert len(asked) == 3
    assert asked & made == set()
    resumed = world.files()
    world.out = "undisturbed"
    world.run(FakeBackend(right), task=task)
    assert resumed == world.files()


def test_a_backend_that_stops_short_is_a_fault_not_a_smaller_run(world: World) -> None:
    class Short(FakeBackend):
        def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
            yield from list(super().generate(requests, sampling))[:-1]

    with pytest.raises(Fault, match="the backend made 3 of 4 samples; rerun the same command to resume"):
        world.run(Short(right))
    assert json.loads((world.folder / "run" / "summary.json").read_text())["missing"] == 1


def test_a_backend_that_yields_a_sample_twice_is_a_fault(world: World) -> None:
    class Twice(FakeBackend):
        def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
            made = list(super().generate(requests, sampling))
            yield from [*made, made[0]]

    with pytest.raises(Fault, match="was about to be written twice"):
        world.run(Twice(right))


def test_a_scorer_that_leaves_out_a_verdict_is_a_fault(world: World) -> None:
    def lazy(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        del sandbox
        yield from [Verdict("scored", Score(value=1.0)) for _ in answers][:-1]

    with pytest.raises(Fault, match="scorer 'lazy' left 1 answers without a verdict"):
        world.run(FakeBackend(right), task=small_task(Scorer("lazy", lazy, lambda ks: {})))


def test_clock_values_are_in_timings_alone(world: World) -> None:
    world.run(FakeBackend(right))
    stages = rows(world.folder / "run" / "timings.jsonl")
    assert [stage["stage"] for stage in stages] == ["generate", "judge unit_tests"]
    assert stages[0]["samples"] == 4
    assert b"seconds" not in b"".join(world.files().values())


def test_progress_counts_up_to_the_total_in_both_stages(world: World) -> None:
    steps: list[tuple[str, int, int]] = []
    world.run(FakeBackend(right), progress=lambda *step: steps.append(step[:3]))
    assert steps == [
        *(("generate", done, 4) for done in range(5)),
        *(("judge", done, 4) for done in range(5)),
    ]


# ---------------------------------------------------------------- faults


def test_a_fault_has_no_score_is_counted_and_spoils_only_its_problem(world: World) -> None:
    task = small_task(scorers.unit_tests, lengths(), samples=2, temperature=1.0)
    backend = FakeBackend(lambda n, i: "broken" if (n, i) == (1, 1) else WANTED[n])
    summary = world.run(backend, FakeSandbox({"broken"}), task)
    judged = {
        (row["problem_id"], row["index"], row["scorer"]): row
        for row in rows(world.folder / "run" / "judgements.jsonl")
    }
    faulty = judged["small/1", 1, "unit_tests"]
    assert (faulty["status"], faulty["score"], faulty["error"]) == ("fault", None, "the worker died")
    assert summary.errors == 1
    assert summary.status_counts == {"fault": 1, "passed": 7, "scored": 8}
    # small/1 passed once and is still in no metric of that scorer; the other scorer has all four.
    assert (summary.metrics["pass@1"].n, summary.metrics["pass@1"].value) == (3, 1.0)
    assert summary.metrics["pass@1[y]"].n == 1
    assert summary.metrics["length"].n == 4


def test_a_fault_is_tried_again_on_resume_and_only_that(world: World) -> None:
    backend = FakeBackend(lambda n, i: WANTED[n] if n else "broken")
    assert world.run(backend, FakeSandbox({"broken"})).errors == 1
    again = FakeSandbox()
    summary = world.run(FakeBackend(right), again)
    assert again.judged == ["broken"]
    assert (summary.errors, summary.status_counts) == (0, {"failed": 1, "passed": 3})
    resumed = world.files()
    world.out = "undisturbed"
    world.run(backend)
    assert resumed == world.files()


def test_a_fault_that_stays_is_written_once(world: World) -> None:
    backend = FakeBackend(lambda n, i: WANTED[n] if n else "broken")
    first = world.run(backend, FakeSandbox({"broken"}))
    before = world.files()
    assert world.run(backend, FakeSandbox({"broken"})) == first
    assert world.files() == before


def test_a_run_of_nothing_but_faults_has_no_metric(world: World) -> None:
    summary = world.run(FakeBackend(lambda n, i: "broken"), FakeSandbox({"broken"}))
    assert (summary.metrics, summary.errors, summary.status_counts) == ({}, 4, {"fault": 4})


# ---------------------------------------------------------------- metrics


def test_ks_are_the_standard_ones_up_to_n_and_those_asked_for(world: World) -> None:
    task = small_task(samples=5, temperature=1.0)
    summary = world.run(FakeBackend(lambda n, i: WANTED[n] if i == 0 else ""), task=task, k=[3])
    overall = {name: value for name, value in values(summary).items() if "[" not in name}
    assert overall == {"pass@1": 0.2, "pass@2": 0.4, "pass@3": 0.6, "pass@5": 1.0}


def test_k_above_n_is_refused_before_any_work(world: World) -> None:
    backend = FakeBackend(right)
    with pytest.raises(ConfigError, match="k = 3 needs at least 3 samples a problem, and there are 1"):
        world.run(backend, k=[3])
    assert backend.asked == []
    assert not (world.folder / "run").exists()


def test_groups_have_metrics_of_their_own(world: World) -> None:
    summary = world.run(FakeBackend(lambda n, i: WANTED[n] if n in (0, 2, 3) else ""))
    assert values(summary) == {"pass@1": 0.75, "pass@1[x]": 1.0, "pass@1[y]": 0.5}
    assert [summary.metrics[f"pass@1{group}"].n for group in ("", "[x]", "[y]")] == [4, 2, 2]


def test_one_group_is_no_group(world: World) -> None:
    summary = world.run(FakeBackend(right), limit=1)
    assert set(summary.metrics) == {"pass@1"}


# ---------------------------------------------------------------- notes and signature


def test_a_partial_recording_says_so_and_counts_only_its_problems(world: World) -> None:
    backend = FakeBackend(right, counts={"small/1": 1, "small/3": 2})
    summary = world.run(backend)
    assert (summary.problems, summary.samples) == (2, 3)
    assert summary.notes == ("partial: 2 of 4 problems have completions", "1 to 2 samples a problem")
    assert set(summary.metrics) == {"pass@1"}, "pass@2 needs two samples of every problem"
    assert summary.metrics["pass@1"].n == 2


def test_a_limit_and_a_judge_beside_the_candidate_are_noted(world: World) -> None:
    class Beside(FakeSandbox):
        def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
            for _ in programs:
                yield ExecResult(status="passed", judge="in_process")

    summary = world.run(FakeBackend(right), Beside(), limit=2)
    assert summary.notes == (
        "limited to the first 2 problems",
        "2 samples judged in_process: their tests' values cannot cross to the trusted side",
    )


def test_a_whole_run_has_no_notes(world: World) -> None:
    assert world.run(FakeBackend(right)).notes == ()


def test_the_signature_says_all_that_a_number_depends_on(world: World) -> None:
    summary = world.run(
        FakeBackend(right),
        FakeSandbox(packages={"numpy": "2.4.6"}),
        seed=7,
        sampling={"samples": 2, "temperature": 0.8, "top_p": 0.95},
    )
    task, size, data, prompt, *rest = summary.signature.split(" | ")
    assert (task, size) == ("small v3", "test 4x2")
    assert data.startswith("data ")
    assert prompt.startswith("prompt plain:")
    assert rest == [
        "shots none",
        "extract whole",
        "T 0.8 top-p 0.95 top-k 0 max 8 seed 7",
        "judge fake python 1.2.3 packages b6759e0b",
        "float32",
        "fake 1",
    ]


@pytest.mark.parametrize(
    ("config", "part"),
    [
        ({}, "greedy max 8 seed 0"),
        ({"sampling": {"beams": 4}}, "beams 4 max 8 seed 0"),
        ({"judge": {"time_limit": 1.5, "memory_mb": 64}}, "judge fake cpu 1.5 s memory 64 MB python 1.2.3"),
    ],
)
def test_the_signature_names_what_the_config_changed(world: World, config: dict[str, Any], part: str) -> None:
    assert f" | {part} | " in world.run(FakeBackend(right), **config).signature


def test_another_python_or_package_of_the_judge_makes_another_run(world: World) -> None:
    first = world.run(FakeBackend(right), FakeSandbox(packages={"numpy": "2.4.6"}))
    record = json.loads(world.file("run.json"))
    assert record["judge"]["versions"] == {"python": "1.2.3"}
    assert record["judge"]["installed"] == {"numpy": "2.4.6"}
    with pytest.raises(ConfigError, match=r"judge.installed.numpy: '2.4.6' there, '2.0' now"):
        world.run(FakeBackend(right), FakeSandbox(packages={"numpy": "2.0"}))
    world.out = "other"
    other = world.run(FakeBackend(right), FakeSandbox(packages={"numpy": "2.0"}))
    assert other.signature != first.signature
    assert other.run_id != first.run_id


def test_packages_that_programs_should_find_and_do_not_are_in_the_notes(world: World) -> None:
    summary = world.run(FakeBackend(right), FakeSandbox(absent=("numpy", "torch")))
    assert summary.notes == ("not installed for programs: numpy, torch",)


def test_a_task_judged_by_text_starts_no_sandbox_and_says_so(world: World) -> None:
    class NoSandbox(FakeSandbox):
        @property
        def isolation(self) -> str:  # type: ignore[override]
            raise AssertionError("asked for the isolation level")

        @isolation.setter
        def isolation(self, value: str) -> None:
            pass

    summary = world.run(FakeBackend(right), NoSandbox(), small_task(lengths()))
    assert " | judge text | " in summary.signature
    assert json.loads(world.file("run.json"))["judge"] is None


def test_other_data_gives_another_signature_and_run_id(world: World) -> None:
    first = world.run(FakeBackend(right))
    path = world.folder / "small" / "rows.jsonl"
    path.write_text(path.read_text().replace('"letter": "d"', '"letter": "e"'))
    with pytest.raises(ConfigError, match=r"holds another run: data\.sha256\.small/rows\.jsonl: '"):
        world.run(FakeBackend(right))
    world.out = "other"
    second = world.run(FakeBackend(right))
    assert first.run_id != second.run_id
    assert first.signature != second.signature


def test_batch_size_device_and_place_of_the_data_are_no_part_of_a_run(world: World) -> None:
    world.run(FakeBackend(right), backend={"model": "m", "batch_size": 3, "device": "cpu"})
    before = world.files()
    world.run(FakeBackend(right), backend={"model": "m", "batch_size": 5})
    assert world.files() == before
    assert str(world.folder) not in world.file("run.json").decode()


# ---------------------------------------------------------------- proving a task


def proved(
    problem: Problem, sandbox: Sandbox | None = None, scorer: Scorer = scorers.unit_tests
) -> list[str]:
    box = sandbox or FakeSandbox()
    return judging.prove(small_task(scorer), [problem], box)


def with_tests(solution: str, code: str) -> Problem:
    return Problem(id="p", question="", solution=solution, check=UnitTests(code=code, entry_point="f"))


def test_a_reference_that_passes_and_an_empty_answer_that_fails_prove_a_check() -> None:
    assert proved(with_tests("x", "x")) == []


def test_a_reference_that_fails_its_own_check_is_named() -> None:
    assert proved(with_tests("x", "y")) == ["p: unit_tests: its reference fails (failed: )"]


def test_a_check_that_an_empty_answer_passes_is_named() -> None:
    class Lenient(FakeSandbox):
        def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
            for _ in programs:
                yield ExecResult(status="passed")

    assert proved(with_tests("x", "x"), Lenient()) == [
        "p: unit_tests: an empty answer is worth as much as its reference"
    ]


def test_an_empty_reference_text_is_named() -> None:
    problem = Problem(id="p", question="", solution="", check=Reference(texts=("",)))
    assert proved(problem, scorer=scorers.exact) == [
        "p: exact: an empty answer is worth as much as its reference"
    ]
    assert (
        proved(
            Problem(**{**problem.model_dump(), "solution": "x", "check": Reference(texts=("x",))}),
            scorer=scorers.exact,
        )
        == []
    )


def test_a_fault_proves_nothing() -> None:
    with pytest.raises(Fault, match="p: unit_tests: the worker died"):
        proved(with_tests("x", "x"), FakeSandbox({"x"}))


# ---------------------------------------------------------------- the real sandbox


def test_the_number_of_workers_changes_no_byte(tmp_path: Path) -> None:
    given = []
    for row in mini_humaneval()[:24]:
        body = row["canonical_solution"]
        given += [
            {"task_id": row["task_id"], "completion": text}
            for text in (body, "    return 1 / 0\n", "    x = (")
        ]
    path = write_rows(tmp_path / "c.jsonl", given)
    found = {}
    for workers in (1, 2):
        config = RunConfig(
            task="humaneval",
            data=data_files.MINI,
            backend={"kind": "replay", "path": str(path), "partial": True},  # type: ignore[arg-type]
            judge=JudgeConfig(workers=workers),
        )
        out, summary = runner.run(config, tmp_path / str(workers))
        assert summary.status_counts["passed"] == 24
        assert summary.errors == 0
        found[workers] = {
            name: (out / name).read_bytes()
            for name in ("generations.jsonl", "judgements.jsonl", "summary.json")
        }
    assert found[1] == found[2]
