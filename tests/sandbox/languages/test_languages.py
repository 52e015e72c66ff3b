"""Programs in other languages are compiled, run, limited, confined and judged, at every isolation level available here.

The attacks are files of attacks/ in the language's own suffix: `forge_*` are candidates that must not pass, the
others whole programs that print BREACH where they get through. A language whose tools are missing is skipped with
the line that names the package.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import sandbox
from harness.errors import SandboxFault, UserError
from harness.sandbox.languages import toolchains, worker_pool
from harness.sandbox.verdict_cache import CachingSandbox
from harness.schema import ExecResult, Limits, Program
from harness.tasks.families import completion_marker
from tests.sandbox.test_attacks import targets
from tests.support import polyglot_programs
from tests.support.parts.scripted_sandbox import JUDGE
from tests.support.paths import ATTACKS
from tests.support.rungs import RUNGS, pool_on

__all__ = ["targets"]

ATTACK_FILES = sorted(path for path in ATTACKS.iterdir() if path.suffix[1:] in polyglot_programs.LANGUAGE)
FORGERIES = [path for path in ATTACK_FILES if path.stem.startswith("forge_")]
PROGRAMS = [path for path in ATTACK_FILES if not path.stem.startswith(("forge_", "compiles_"))]
COMPILED = ("cpp", "java", "go", "rust", "typescript", "csharp", "d", "scala")
WRONG = {"bash": "error", "perl": "error"}  # their tests only end with another exit status


@pytest.fixture(scope="module", params=RUNGS)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    os.environ["HARNESS_CANARY"] = "canary"
    with pool_on(request.param) as pool:
        yield pool
    del os.environ["HARNESS_CANARY"]


@pytest.fixture(scope="module")
def strongest() -> Iterator[sandbox.Pool]:
    """For what is the same at every level."""
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        yield pool


def need(language: str) -> None:
    if polyglot_programs.missing(language):
        pytest.skip(polyglot_programs.missing(language))


@pytest.mark.parametrize("language", polyglot_programs.ADDS)
def test_a_program_reads_its_input_and_prints(pool: sandbox.Pool, language: str) -> None:
    need(language)
    result = pool.run(polyglot_programs.whole(language, polyglot_programs.ADDS[language], stdin="42\n"))
    assert (result.status, result.stdout, result.judge) == ("passed", "43\n", "exit"), result
    assert result.peak_mb > 1
    assert result.wall_s > 0


@pytest.mark.parametrize("language", polyglot_programs.RIGHT)
def test_a_right_candidate_passes_and_a_wrong_one_fails(pool: sandbox.Pool, language: str) -> None:
    need(language)
    right = polyglot_programs.RIGHT[language]
    result = pool.run(polyglot_programs.with_test(language, right))
    assert (result.status, result.judge) == ("passed", "in_process"), result
    assert "HARNESS" not in result.stdout
    result = pool.run(
        polyglot_programs.with_test(language, right.replace("+1", "+2").replace("add1", "sub1"))
    )
    assert (result.status, result.judge) == (WRONG.get(language, "failed"), "in_process"), result
    assert result.detail


@pytest.mark.parametrize("language", COMPILED)
def test_what_does_not_compile_is_told_with_the_compilers_line(
    strongest: sandbox.Pool, language: str
) -> None:
    need(language)
    result = strongest.run(polyglot_programs.whole(language, "this is no program"))
    assert result.status == "compile_error"
    assert "error" in result.detail or "expected" in result.detail
    assert result.cpu_s > 0


@pytest.mark.parametrize("language", ["bash", "cpp", "java"])
def test_an_endless_loop_ends_by_cpu_time(strongest: sandbox.Pool, language: str) -> None:
    need(language)
    result = strongest.run(polyglot_programs.whole(language, polyglot_programs.LOOPS[language]))
    assert (result.status, result.detail) == ("timeout", "more than 0.7 s of CPU time"), result
    assert 0.7 <= result.cpu_s < 2


@pytest.mark.parametrize("language", polyglot_programs.HOGS)
def test_memory_is_limited(strongest: sandbox.Pool, language: str) -> None:
    need(language)
    limits = polyglot_programs.LIMITS.model_copy(update={"cpu_s": 10.0})
    result = strongest.run(polyglot_programs.whole(language, polyglot_programs.HOGS[language], limits=limits))
    assert result.status == "memory", result
    assert result.peak_mb < 1200


@pytest.mark.parametrize("language", polyglot_programs.FLOODS)
def test_output_is_limited(strongest: sandbox.Pool, language: str) -> None:
    need(language)
    result = strongest.run(polyglot_programs.whole(language, polyglot_programs.FLOODS[language]))
    assert (result.status, result.detail) == ("output", "more than 64 KB of output"), result
    assert len(result.stdout) == 64 << 10


def test_a_sleeper_ends_by_the_wall_clock(strongest: sandbox.Pool) -> None:
    result = strongest.run(
        polyglot_programs.whole(
            "bash", "sleep 60", limits=polyglot_programs.LIMITS.model_copy(update={"wall_s": 0.3})
        )
    )
    assert (result.status, result.detail) == ("timeout", "no end within 0.3 s")


def test_exit_status_and_signals_are_told(strongest: sandbox.Pool) -> None:
    assert strongest.run(polyglot_programs.whole("bash", "echo so >&2; exit 3")).detail == "exit status 3: so"
    assert strongest.run(polyglot_programs.whole("bash", "kill -SEGV $$")).status == "signal"


def test_programs_of_several_languages_come_back_in_order(strongest: sandbox.Pool) -> None:
    programs = [
        polyglot_programs.whole("bash", "echo 1"),
        Program(code="print(2)"),
        Program(code="print(3)"),
        polyglot_programs.whole("bash", "echo 4"),
    ]
    results = [result for result in strongest.map(programs) if not isinstance(result, SandboxFault)]
    assert [result.stdout for result in results] == ["1\n", "2\n", "3\n", "4\n"]


def test_equal_candidates_are_compiled_once(strongest: sandbox.Pool) -> None:
    need("cpp")
    right = polyglot_programs.with_test("cpp", polyglot_programs.RIGHT["cpp"])
    wrong = polyglot_programs.with_test("cpp", polyglot_programs.RIGHT["cpp"].replace("+1", "+3"))
    with CachingSandbox(strongest, JUDGE, None) as cached:
        results = list(cached.map([right, wrong, *[right] * 600, wrong]))
    ran = [result for result in results if isinstance(result, ExecResult)]
    assert [result.status for result in ran] == ["passed", "failed", *["passed"] * 600, "failed"]
    assert cached.reused == 601


def test_steps_are_in_a_control_group_that_is_gone_afterwards() -> None:
    """Under root; what such a group counts is tested in isolation/test_control_group.py."""
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        pool.run(polyglot_programs.whole("bash", "exit 0"))
        assert pool._languages is not None
        (worker,) = pool._languages.workers()
        if worker.group is None:
            pytest.skip("no control group can be made here")
        paths = worker.group.paths
        running = pool.map([polyglot_programs.whole("bash", code) for code in ("exit 0", "sleep 1")])
        next(running)
        members: set[str] = set()
        deadline = time.monotonic() + 0.8
        while len(members) < 2 and time.monotonic() < deadline:
            members = {pid for path in paths for pid in Path(path, "cgroup.procs").read_text().split()}
        assert len(members) >= 2, "the step's first process and the program"
        running.close()  # type: ignore[attr-defined]
    assert not any(map(os.path.exists, paths))


@pytest.mark.parametrize("attack", FORGERIES, ids=[path.name for path in FORGERIES])
def test_a_forged_verdict_is_no_pass(strongest: sandbox.Pool, attack: Path) -> None:
    language = polyglot_programs.LANGUAGE[attack.suffix[1:]]
    need(language)
    result = strongest.run(polyglot_programs.with_test(language, attack.read_text()))
    assert result.status in ("failed", "error", "signal", "compile_error"), result


@pytest.mark.parametrize("attack", PROGRAMS, ids=[path.name for path in PROGRAMS])
def test_an_attack_is_held_and_leaves_no_trace(
    attack: Path, pool: sandbox.Pool, targets: dict[str, str]
) -> None:
    language = polyglot_programs.LANGUAGE[attack.suffix[1:]]
    need(language)
    code = attack.read_text()
    for name, value in targets.items():
        code = code.replace(f"@{name}@", value)
    for _ in range(2 if language == "bash" else 1):
        result = pool.run(polyglot_programs.whole(language, code))
        assert "BREACH" not in result.stdout, result
        assert result.status != "compile_error", result
    # Then an honest program, on the same worker, with its own folder and its own time.
    honest = pool.run(
        polyglot_programs.whole("bash", "shopt -s nullglob dotglob; echo *; read x; echo $x", stdin="7\n")
    )
    assert (honest.status, honest.stdout) == ("passed", ".tmp main.sh\n7\n")
    assert os.listdir(targets["DROP"]) == []
    assert Path(targets["MINE"]).read_text() == "canary"
    assert os.stat(targets["MINE"]).st_mode & 0o777 == 0o644


def test_the_compiler_is_confined_and_limited_too(
    pool: sandbox.Pool, targets: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need("cpp")
    folder = ATTACKS
    reads = (folder / "compiles_in.cpp").read_text().replace("@CANARY@", targets["CANARY"])
    result = pool.run(polyglot_programs.whole("cpp", reads))
    assert result.status == "compile_error"
    assert "canary" not in (result.stdout + result.stderr).replace(targets["CANARY"], "")
    monkeypatch.setattr(worker_pool, "BUILDING", Limits(cpu_s=0.5, wall_s=20.0, memory_mb=2048))
    result = pool.run(polyglot_programs.whole("cpp", (folder / "compiles_forever.cpp").read_text()))
    assert (result.status, result.detail) == (
        "compile_error",
        "the compiler needs more than 0.5 s of CPU time",
    )


def test_a_cpp_program_compiles_the_same_at_any_time(strongest: sandbox.Pool) -> None:
    need("cpp")
    code = "#include <cstdio>\nint main() { puts(__DATE__ __TIME__ __TIMESTAMP__); }"
    result = strongest.run(polyglot_programs.whole("cpp", code))
    assert result.stdout == "Jan  1 200000:00:00Sat Jan  1 00:00:00 2000\n", result


def test_a_d_program_compiles_the_same_at_any_time(strongest: sandbox.Pool) -> None:
    need("d")
    code = "import core.stdc.stdio;\nvoid main() { puts(__TIMESTAMP__); }"
    result = strongest.run(polyglot_programs.whole("d", code))
    assert result.stdout[-5:] in ("1970\n", "1969\n"), result


def test_a_killed_worker_leaves_no_process(pool: sandbox.Pool) -> None:
    """Closing a pool in the middle of a batch ends what runs, also what a program put into the background."""
    mark = f"sleep {1000 + os.getpid() % 1000}.25"
    with sandbox.start(sandbox.Settings(isolation=pool.isolation, workers=1)) as other:  # type: ignore[arg-type]
        limits = Limits(cpu_s=5, wall_s=60)
        programs = [
            polyglot_programs.whole("bash", "echo"),
            polyglot_programs.whole("bash", f"setsid {mark} & {mark}", limits=limits),
        ]
        running = other.map(programs)
        next(running)
        deadline = time.monotonic() + 20
        while not _alive(mark) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert _alive(mark)
        running.close()  # type: ignore[attr-defined]
    assert not _alive(mark)


def _alive(mark: str) -> list[str]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").strip() == mark.encode():
                found.append(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


# ---------------------------------------------------------------- without running anything


def test_a_missing_toolchain_is_one_line_that_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    toolchains.toolchain.cache_clear()
    try:
        with sandbox.start(sandbox.Settings(workers=1)) as pool, pytest.raises(UserError) as caught:
            pool.run(polyglot_programs.whole("go", polyglot_programs.ADDS["go"]))
    finally:
        toolchains.toolchain.cache_clear()
    assert str(caught.value) == (
        "go programs cannot run here: 'go' is not in PATH. Install it (Debian and Ubuntu: apt-get install golang-go)."
    )


def test_an_unknown_language_is_told_with_those_there_are() -> None:
    with (
        sandbox.start(sandbox.Settings(workers=1)) as pool,
        pytest.raises(UserError, match="Known: python, java"),
    ):
        pool.run(Program(code="x", language="cobol"))


def test_a_test_without_an_end_cannot_be_closed() -> None:
    with pytest.raises(ValueError, match="does not end in 2 closing braces"):
        completion_marker.instrument("java", "class Main { }")
    with pytest.raises(ValueError, match="'lua'"):
        completion_marker.instrument("lua", "")


def test_the_attacks_cover_every_language() -> None:
    assert {polyglot_programs.LANGUAGE[path.suffix[1:]] for path in ATTACK_FILES} == set(
        polyglot_programs.SUFFIX
    )
