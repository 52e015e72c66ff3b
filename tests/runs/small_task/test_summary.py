"""What is said of a run of a small task: its metrics, its notes, its signature and which run it is."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from harness.errors import ConfigError, SandboxFault
from harness.schema import ExecResult, Program
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
