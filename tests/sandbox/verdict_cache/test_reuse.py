"""Equal programs are judged once, and nothing else counts as equal; what time or the machine decides is judged anew."""

import random
from collections import Counter
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest

from harness import scorers
from harness.errors import SandboxFault
from harness.sandbox import verdict_cache
from harness.sandbox.verdict_cache import CachingSandbox
from harness.schema import ExecResult, Limits, Program, UnitTests
from tests.support.parts.scripted_sandbox import JUDGE, Result, ScriptedSandbox, judge, passes

TESTS = UnitTests(code="assert f() == 1", entry_point="f")
BASE = Program(code="f = 1", tests=TESTS)


def never(message: str) -> None:
    raise AssertionError(message)


def outcome(result: Result) -> tuple[str, str]:
    return (result.status, result.stdout) if isinstance(result, ExecResult) else ("fault", str(result))


def test_equal_programs_of_one_run_are_judged_once_and_each_has_its_result() -> None:
    sandbox = ScriptedSandbox()
    results = judge(sandbox, [Program(code=each) for each in "abacab"])
    assert [outcome(result) for result in results] == [("passed", each) for each in "abacab"]
    assert sandbox.judged == ["a", "b", "c"]
    assert [result.cpu_s for result in results if isinstance(result, ExecResult)] == [0.1, 0.1, 0, 0.1, 0, 0]


def test_a_second_run_judges_only_what_is_new(tmp_path: Path) -> None:
    sandbox = ScriptedSandbox()
    first = judge(sandbox, [Program(code=each) for each in "aba"], tmp_path / "v", warn=never)
    second = judge(sandbox, [Program(code=each) for each in "bca"], tmp_path / "v", warn=never)
    assert sandbox.judged == ["a", "b", "c"]
    assert [outcome(result)[1] for result in [*first, *second]] == list("ababca")
    assert (tmp_path / "v").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("seed", range(30))
def test_results_are_those_without_a_cache_in_any_order_and_of_any_kind(tmp_path: Path, seed: int) -> None:
    """Property: programs drawn at random, drawn ahead by any number, in one run or two."""
    rng = random.Random(seed)
    kinds = {
        f"{n}": rng.choice(["passed", "failed", "error", "timeout", "memory", "fault"]) for n in range(6)
    }
    asked = [f"{rng.randrange(6)}" for _ in range(60)]

    def result(program: Program) -> Result:
        kind = kinds[program.code]
        return SandboxFault(program.code) if kind == "fault" else ExecResult(status=kind, stdout=program.code)

    sandbox = ScriptedSandbox(result, ahead=rng.choice((1, 3, 100)))
    cut = rng.randrange(60)
    got = judge(sandbox, [Program(code=each) for each in asked[:cut]], tmp_path / "v")
    got += judge(sandbox, [Program(code=each) for each in asked[cut:]], tmp_path / "v")
    assert [outcome(each) for each in got] == [outcome(result(Program(code=each))) for each in asked]
    times = Counter(sandbox.judged)
    for code, count in Counter(asked).items():
        assert times[code] == (1 if kinds[code] in ("passed", "failed", "error") else count), kinds[code]


@pytest.mark.parametrize(
    ("changed", "judge_changed", "sandbox_changed"),
    [
        ({"code": "f = 2"}, {}, {}),
        ({"stdin": "1"}, {}, {}),
        ({"argv": ("1",)}, {}, {}),
        ({"files": {"a": "b"}}, {}, {}),
        ({"language": "cpp"}, {}, {}),
        ({"flags": ("-O2",)}, {}, {}),
        ({"limits": Limits(cpu_s=4)}, {}, {}),
        ({"tests": TESTS.model_copy(update={"code": "assert f() == 2"})}, {}, {}),
        ({"tests": TESTS.model_copy(update={"setup": "x = 1"})}, {}, {}),
        ({"tests": TESTS.model_copy(update={"arrays": True})}, {}, {}),
        ({"tests": None}, {}, {}),
        ({}, {"time_limit": 3.5}, {}),
        ({}, {"memory_mb": 999}, {}),
        ({}, {"named": ["numpy"]}, {}),
        ({}, {"preload": ["numpy"]}, {}),
        ({}, {}, {"version": "3.11.8"}),
        ({}, {}, {"packages": {"numpy": "2"}}),
        ({}, {}, {"isolation": "landlock"}),
        ({}, {}, {"isolation": "process"}),
    ],
)
def test_what_differs_in_anything_that_decides_is_judged(
    tmp_path: Path, changed: Any, judge_changed: Any, sandbox_changed: Any
) -> None:
    judge(ScriptedSandbox(), [BASE], tmp_path / "v", warn=never)
    same = ScriptedSandbox()
    judge(same, [BASE], tmp_path / "v", warn=never)
    assert same.judged == []
    other = ScriptedSandbox(**sandbox_changed)
    judge(other, [BASE.model_copy(update=changed)], tmp_path / "v", judge=judge_changed, warn=never)
    assert len(other.judged) == 1


LEVELS = ("namespaces", "landlock", "process")


@pytest.mark.parametrize("given", LEVELS[:2])  # without isolation there is no file: test_file.py
@pytest.mark.parametrize("asked", LEVELS)
def test_a_verdict_is_found_at_the_isolation_level_that_gave_it_and_at_no_other(
    tmp_path: Path, given: str, asked: str
) -> None:
    judge(ScriptedSandbox(isolation=given), [BASE], tmp_path / "v", warn=never)
    later = ScriptedSandbox(isolation=asked)
    judge(later, [BASE], tmp_path / "v", warn=never)
    assert len(later.judged) == (given != asked)


def test_programs_of_one_run_with_other_tests_each_are_judged() -> None:
    other = BASE.model_copy(update={"tests": TESTS.model_copy(update={"code": "assert f() == 2"})})
    bare = BASE.model_copy(update={"tests": None})
    sandbox = ScriptedSandbox()
    judge(sandbox, [BASE, other, bare, other, BASE, bare])
    assert len(sandbox.judged) == 3


def test_another_text_of_the_judge_judges_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = ScriptedSandbox()
    judge(sandbox, [BASE], tmp_path / "v", warn=never)
    monkeypatch.setattr(verdict_cache, "source_digest", lambda: "other")
    judge(sandbox, [BASE], tmp_path / "v", warn=never)
    assert len(sandbox.judged) == 2


@pytest.mark.parametrize(
    "result",
    [
        *(ExecResult(status=status) for status in ("timeout", "memory", "output", "signal")),
        SandboxFault("gone"),
        ExecResult(status="error", detail="judge resources: a worker ended"),
        ExecResult(status="compile_error", detail="the compiler needs more than 60 s"),
        ExecResult(status="passed", cpu_s=1.6),
        ExecResult(status="failed", wall_s=10.1),
        ExecResult(status="passed", peak_mb=600),
    ],
)
def test_what_time_or_the_machine_decides_is_judged_each_time(tmp_path: Path, result: Result) -> None:
    sandbox = ScriptedSandbox(lambda program: result)
    for _ in range(2):
        assert judge(sandbox, [BASE] * 3, tmp_path / "v", warn=never) == [result] * 3
    assert len(sandbox.judged) == 6


def test_where_each_call_has_a_limit_half_of_it_counts() -> None:
    limits = Limits(cpu_s=60, wall_s=60)
    timed = UnitTests(code="f.cpu_s = 1.0\nassert f() == 1", entry_point="f", limits=limits)
    in_setup = UnitTests(setup="f.cpu_s = 1.0", code="assert f() == 1", entry_point="f", limits=limits)
    for tests, times in ((timed, 2), (in_setup, 2), (TESTS, 1)):
        sandbox = ScriptedSandbox(lambda program: ExecResult(status="passed", cpu_s=0.6))
        judge(sandbox, [Program(code="f = 1", tests=tests, limits=limits)] * 2)
        assert len(sandbox.judged) == times


@pytest.mark.parametrize(
    "text",
    ["time.time()", "from time import perf_counter", "datetime.now()", "date.today ()", "new Date", "Instant::now()",
     "System.nanoTime()", "DateTime.UtcNow", "np.datetime64('now')", "std::chrono::steady_clock::now()", "\ntime()",
     "time_ns()", "process_time()", "thread_time_ns()", "monotonic()", "localtime()", "gmtime()", "ctime()",
     "asctime()", "strftime('')", "clock_gettime(0)", "default_timer()", "getrusage(0)", "gettimeofday(0)", "hrtime()",
     "utcnow()", "currentTimeMillis()", "Time.now", "DateTime.Today", "time.Now()"],
)  # fmt: skip
def test_a_program_or_tests_that_name_a_clock_are_judged_each_time(text: str) -> None:
    for program in (Program(code=text), Program(code="", tests=UnitTests(code=text, entry_point="f"))):
        sandbox = ScriptedSandbox()
        judge(sandbox, [program] * 2)
        assert len(sandbox.judged) == 2


@pytest.mark.parametrize(
    "text", ["import time", "from datetime import timedelta", "# until now", "runtime(3)"]
)
def test_a_word_alone_is_no_clock(text: str) -> None:
    sandbox = ScriptedSandbox()
    judge(sandbox, [Program(code=text)] * 2)
    assert len(sandbox.judged) == 1


def test_programs_are_drawn_lazily_however_many_are_equal() -> None:
    drawn = 0

    def endless() -> Any:
        nonlocal drawn
        for program in repeat(BASE):
            drawn += 1
            yield program

    with CachingSandbox(ScriptedSandbox(), JUDGE, None) as cached:
        assert len(list(islice(cached.map(endless()), 5000))) == 5000
    assert drawn < 5000 + 3000


def test_a_result_that_is_too_large_to_keep_is_judged_again_and_given_to_those_that_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdict_cache, "_ENTRY_BYTES", 50)
    sandbox = ScriptedSandbox(lambda program: ExecResult(status="passed", stdout="x" * 100))
    with CachingSandbox(sandbox, JUDGE, None) as cached:
        for _ in range(2):
            assert [outcome(each) for each in cached.map([BASE] * 3)] == [("passed", "x" * 100)] * 3
    assert len(sandbox.judged) == 2


def test_memory_holds_the_latest_results_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict_cache, "_RECENT_BYTES", 1000)
    sandbox = ScriptedSandbox(passes)
    with CachingSandbox(sandbox, JUDGE, None) as cached:
        for codes in (map(str, range(100)), ["99", "0"]):
            list(cached.map(Program(code=code) for code in codes))
    assert sandbox.judged[100:] == ["0"]


def test_scorers_of_programs_say_so_and_those_of_queries_and_of_text_do_not() -> None:
    cacheable = {name for name, scorer in scorers.builtin_scorers().items() if scorer.cacheable}
    assert cacheable == {
        "assertions", "generated_tests", "io_cases", "snippets", "symbolic", "unit_tests", "valid_rate",
    }  # fmt: skip
