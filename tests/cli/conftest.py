"""Commands run in the test's own folder; and a finished run to report on."""

from pathlib import Path

import pytest

from tests.support.command import harness, snippets


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that write to results/ write below the test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished run of three conala rows."""
    ended = harness("score", *snippets(tmp_path / "c.jsonl"), "--out", tmp_path / "run")
    assert (ended.code, ended.err) == (0, "")
    return tmp_path / "run"
