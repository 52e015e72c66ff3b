"""What every test may rely on: no HARNESS_DATA from outside, index files in a folder of the tests' own, no
store of answers, real data only where it was given, and the longest files first."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REAL_DATA = "HARNESS_TEST_DATA"
# Files that take longest, first: begun last, one would keep one process busy while the others have nothing left to do.
LONGEST = (
    "test_quickstart",
    "test_cluster",
    "test_tasks",
    "test_readme",
    "test_crew",
    "test_train",
    "test_hf",
    "test_train_ranks",
    "test_train_killed",
    "test_humaneval_plus",
    "test_resume",
    "test_languages",
    "test_bad_input",
    "test_ds1000",
    "test_sandbox",
    "test_sql_engine",
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
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    left_out = [r for r in terminalreporter.stats.get("skipped", []) if "real_data" in r.keywords]
    if left_out:
        terminalreporter.write_line(
            f"{len(left_out)} real_data tests were left out: set {REAL_DATA} to a folder of benchmark files"
        )
