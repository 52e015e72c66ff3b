"""The data of the small task in a folder of each test's own."""

from pathlib import Path

import pytest

from tests.support.command import write_rows
from tests.support.parts.small_run import WANTED, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    (tmp_path / "small").mkdir()
    write_rows(
        tmp_path / "small" / "rows.jsonl",
        [{"n": n, "letter": letter, "group": "xy"[n % 2]} for n, letter in enumerate(WANTED)],
    )
    return World(tmp_path, monkeypatch)
