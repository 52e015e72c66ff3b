"""What every test may rely on: no HARNESS_DATA from outside, index files in a folder of the tests' own, no
completion cache, real data only where it was given, slow tests marked, and the longest files first."""

import os
import re
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import slow_tests

# Other tests run beside: how long an example takes says nothing.
settings.register_profile("beside others", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("beside others")

REAL_DATA = "HARNESS_TEST_DATA"
# Set where everything that tests can use is installed: there a skipped test is a failure, but for what hangs on the
# kernel or the hardware.
EVERYTHING = "HARNESS_TEST_EVERYTHING"
OF_THE_MACHINE = re.compile(
    r"this machine (does not offer|has one core|cannot put)|only Python programs have|aimed at the level"
    r"|no mounts here|no /dev/full here|there is a GPU|CI does without it"
)
HERE = Path(__file__).parent
# Files that take longest, first: begun last, one would keep one process busy while the others have nothing left to do.
LONGEST = (
    "cli/test_smoke.py",
    "parity/test_quarter_sets.py",
    "parity/test_whole_sets.py",
    "cli/test_quickstart.py",
    "runs/workers/test_ray.py",
    "tasks/test_contract.py",
    "docs/test_readme.py",
    "runs/workers/test_backend.py",
    "training/test_run.py",
    "backends/hf/test_engine.py",
    "training/test_distributed.py",
    "training/test_resume.py",
    "parity/test_recorded_sets.py",
    "runs/test_resume.py",
    "sandbox/languages/test_languages.py",
    "cli/test_bad_input.py",
    "tasks/ds1000/test_verdicts.py",
    "sandbox/python/test_batches.py",
    "sandbox/sql/test_worker.py",
    "architecture/test_package.py",
)


@pytest.fixture(scope="session", autouse=True)
def _no_data_folder_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HARNESS_DATA", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_index_files_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("index")))
        patch.setenv("HARNESS_NO_CACHE", "1")  # a test that runs something twice wants it done twice
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real benchmark files, laid out as --data wants it."""
    given = os.environ.get(REAL_DATA)
    if not given:
        pytest.skip(f"real benchmark files: set {REAL_DATA} to their folder")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail(f"{REAL_DATA}={given!r} is not a folder")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow, long = slow_tests.listed(), slow_tests.listed(slow_tests.LONG)
    place = {name: number for number, name in enumerate(LONGEST)}
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
        if slow & slow_tests.names(item):
            item.add_marker("slow")
        if long & slow_tests.names(item):
            item.add_marker("long")
    items.sort(key=lambda item: place.get(item.path.relative_to(HERE).as_posix(), len(LONGEST)))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    began = time.perf_counter()
    value = yield
    if fixturedef.scope != "function":
        name = slow_tests.fixture_name(fixturedef.baseid, fixturedef.argname)
        item = request._pyfuncitem  # the test that came first; its report tells what the fixture took
        item.user_properties.append((slow_tests.FIXTURE, f"{name} {time.perf_counter() - began:.3f}"))
    return value


def _skipped(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Why tests were skipped, and how many for each reason."""
    return Counter(
        re.sub(r"\s+", " ", report.longrepr[2].removeprefix("Skipped: "))
        for report in reporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )


def _unexpected(reasons: Counter[str]) -> Counter[str]:
    everything = os.environ.get(EVERYTHING)
    return Counter({why: n for why, n in reasons.items() if everything and not OF_THE_MACHINE.search(why)})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = _skipped(terminalreporter)
    unexpected = _unexpected(reasons)
    for why, count in sorted(reasons.items()):
        failure = f", which {EVERYTHING} forbids" if why in unexpected else ""
        terminalreporter.write_line(f"{count} skipped{failure}: {why}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and session.exitstatus == 0 and _unexpected(_skipped(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
