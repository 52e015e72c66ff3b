"""Runs and their baseline for the gate, and one to be spoilt."""

from pathlib import Path

import pytest

from tests.support.command import harness
from tests.support.parts.gated_runs import N, counted, right
from tests.support.recordings import make


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """good: 100 of 164. worse: 8 of these lost, 5 points. noisy: 4 lost, 4 won. better: 8 won."""
    folder = tmp_path_factory.mktemp("runs")
    counted(make(folder / "good", right(), problems=N))
    make(folder / "worse", right() - set(range(8)), problems=N)
    make(folder / "noisy", (right() - set(range(4))) | {150, 151, 152, 153}, problems=N)
    make(folder / "better", right(108), problems=N)
    assert harness("gate", folder / "good", "--baseline", folder / "b.json", "--write").code == 0
    return folder


@pytest.fixture
def fresh(tmp_path: Path, runs: Path) -> Path:
    """A run equal to the baseline's, to be spoilt."""
    del runs
    return make(tmp_path / "fresh", right(), problems=N)
