"""A hostile program costs nobody but itself: it gets a verdict, never a fault, for a bounded price, and its neighbours
get theirs.

The programs of hostile/ are aimed at the judge itself, not at what it protects (attacks/ does that). More of them are
beside the real data, where there are any.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import sandbox
from harness.sandbox.isolation import control_group
from harness.schema import UnitTests
from tests.support import hostile_programs, polyglot_programs
from tests.support.rungs import RUNGS_AND_PROCESSES, pool_on, settle

OWN = sorted((Path(__file__).parent / "hostile").iterdir())
CASES = Path(os.environ.get("HARNESS_TEST_DATA", "/nonexistent")).parent / "cases" / "hostile"
MORE = sorted(CASES.iterdir()) if CASES.is_dir() else []
# Two of those say nothing of the judge: one passes whatever happens, one prints what the benchmark's own rule takes.
MORE = [path for path in MORE if path.stem not in ("e16_sync", "f11_main_unicode_digit")]
# What the trusted side may take for one program: twice the program's own CPU time, and so much memory in one process.
CPU_FACTOR, MEMORY_MB = 2.0, 256


@pytest.fixture(scope="module", params=RUNGS_AND_PROCESSES, ids="-".join)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    isolation, process = request.param
    with pool_on(isolation, process=process) as pool:
        yield pool


@pytest.mark.parametrize("path", [*OWN, *MORE], ids=lambda path: path.stem)
def test_a_hostile_program_gets_a_verdict_and_costs_only_itself(pool: sandbox.Pool, path: Path) -> None:
    case = hostile_programs.read(path)
    if polyglot_programs.missing(case.language):
        pytest.skip(polyglot_programs.missing(case.language))
    if case.rung not in ("", pool.isolation):
        pytest.skip(f"aimed at the level {case.rung}")
    if pool.settings.process == "restore" and case.language != "python":
        pytest.skip("only Python programs have a process that is put back")
    if case.mode in ("tests", "warm"):
        settle(pool, UnitTests(code=case.test, entry_point="add_one"), case.good, case.limits)
    outcome = hostile_programs.judge(pool, case)
    assert outcome.status in case.want, outcome
    assert outcome.neighbours == ("failed", "passed"), outcome
    assert outcome.cost.cpu_s <= CPU_FACTOR * case.limits.cpu_s + 0.1, outcome
    assert outcome.cost.memory_mb <= MEMORY_MB, outcome


COUNTED = sorted(
    path
    for path in OWN
    if path.suffix == ".cpp" and path.stem.startswith(("memory_", "time_", "descriptors_"))
)


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_what_nobody_is_seen_to_use_counts_without_a_control_group_too(
    isolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if polyglot_programs.missing("cpp"):
        pytest.skip(polyglot_programs.missing("cpp"))
    monkeypatch.setattr(control_group, "make", lambda: None)
    assert len(COUNTED) == 5
    with sandbox.start(sandbox.Settings(isolation=isolation, workers=1)) as pool:  # type: ignore[arg-type]
        for path in COUNTED:
            case = hostile_programs.read(path)
            outcome = hostile_programs.judge(pool, case)
            assert outcome.status in case.want, (path, outcome)
            assert pool.run(polyglot_programs.whole("bash", "ulimit -n")).stdout == "256\n"
