"""Digests of files: read once, and again when a file was changed."""

import os
import time
from pathlib import Path

import pytest

from harness.backends import hub


def test_a_file_is_read_again_only_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = tmp_path / "model.safetensors", list[Path]()
    file.write_text("one")
    real = hub.sha256
    monkeypatch.setattr(hub, "sha256", lambda path: read.append(path) or real(path))
    first = hub.digest([file])
    assert hub.digest([file]) == first
    assert len(read) == 2  # written just now: it may be written again unnoticed
    monkeypatch.setattr(hub, "SETTLED_NS", 0)
    assert [hub.digest([file]), hub.digest([file]), len(read)] == [first, first, 3]
    before = file.stat()
    time.sleep(0.05)  # more than a tick of the clock that files are dated by
    file.write_text("two")  # of the same size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = hub.digest([file])
    assert second != first
    assert len(read) == 4
    copy = tmp_path / "copy" / file.name
    copy.parent.mkdir()
    copy.write_text("one")
    copy.replace(file)
    assert hub.digest([file]) == first
