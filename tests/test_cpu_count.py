"""Processors that a container's quota grants, as its control groups tell them."""

import math
import os
from pathlib import Path

import pytest

from harness import cpu_count, sandbox
from harness.scorers import exact, parallel

ALL = len(os.sched_getaffinity(0))


def groups(folder: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "own").write_text(own)
    monkeypatch.setattr(cpu_count, "CONTROL_GROUPS", folder / "fs")
    monkeypatch.setattr(cpu_count, "OWN_GROUPS", folder / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))


@pytest.mark.parametrize(
    ("own", "files", "granted"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 64),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "max 100000\n"}, 4),
        ("0::/a/b\n", {"a/cpu.max": "400000 100000\n", "a/b/cpu.max": "300000 100000\n"}, 3),
        ("0::/host/only\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/../../x\n", {"cpu.max": "200000 100000\n"}, 2),
        ("1:name=systemd:/\n0::/x\n", {"unified/x/cpu.max": "200000 100000\n"}, 2),
        (
            "5:cpuset:/\n4:cpu,cpuacct:/docker/1\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            3,
        ),
        (
            "1:cpu:/\n0::/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            64,
        ),
        ("5:cpuset:/\n", {"cpuset/cpu.max": "100000 100000\n"}, 64),
        ("", {}, 64),
    ],
)
def test_a_quota_of_any_group_around_counts(
    own: str, files: dict[str, str], granted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups(tmp_path, monkeypatch, own, files)
    assert cpu_count.available() == granted


def test_where_nothing_is_told_all_that_it_may_run_on_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_count, "OWN_GROUPS", tmp_path / "none")
    assert cpu_count.available() == ALL


def test_this_machine_grants_at_least_one() -> None:
    assert 1 <= cpu_count.available() <= ALL < math.inf


def test_a_sandbox_and_scorers_of_texts_take_as_many_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_count, "available", lambda: 3)
    assert sandbox.start().size == 3
    assert sandbox.start(sandbox.Settings(workers=5)).size == 5
    monkeypatch.setattr(cpu_count, "available", lambda: 1)
    assert parallel.parallelize(exact, None) == exact.score
    assert parallel.parallelize(exact, 2) != exact.score
