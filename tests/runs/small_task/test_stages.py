"""The runner on a small task: what each stage leaves; what order, resuming, faults and workers change."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from harness import scorers
from harness.config.run import JudgeConfig, RunConfig
from harness.errors import Fault, IncompleteRun
from harness.runs import run as runner
from harness.schema import Answer, Generation, Request, Sampling, Sandbox, Score, Scorer, Verdict
from harness.tasks.loading import data_files
from tests.support.command import mini_humaneval, rows, write_rows
from tests.support.parts.small_run import (
    WANTED,
    FakeBackend,
    FakeSandbox,
    World,
    lengths,
    right,
    small_task,
    values,
)


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
