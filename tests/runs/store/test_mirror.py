"""A copy of the runs at a URL that follows them while they are written."""

import json
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from harness.errors import ConfigError, StoreFault
from harness.runs.store import mirror, remote
from harness.runs.store.mirror import Mirror
from harness.runs.store.remote import RemoteRun

URL = "memory://watched"


@pytest.fixture(autouse=True)
def _empty() -> Iterator[None]:
    yield
    fs = fsspec.filesystem("memory")
    for path in fs.find("/watched"):
        fs.rm_file(path)


def write(folder: Path, name: str, n: int, start: int = 0) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    with (folder / name).open("a") as file:
        file.writelines(f'{{"row": {i}}}\n' for i in range(start, start + n))


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def test_a_run_is_followed_to_its_end_and_its_file_grows_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "UPLOAD_INTERVAL_S", 3600.0)
    monkeypatch.setattr(mirror, "INTERVAL_S", 3600.0)
    run = RemoteRun(f"{URL}/study/a")
    run.open(writes=True)
    (run.local / "run.json").write_text("{}")
    (run.local / "weights.safetensors").write_text("large")
    write(run.local, "generations.jsonl", 3)
    run._upload(final=False)
    with Mirror(URL) as copy:
        rows = copy.local / "study" / "a" / "generations.jsonl"
        assert rows.read_text().count("row") == 3
        held = rows.open("rb")
        write(run.local, "generations.jsonl", 4, 3)
        run._upload(final=False)
        copy.update()
        assert [json.loads(line)["row"] for line in rows.read_text().splitlines()] == list(range(7))
        with held:
            assert held.read() == rows.read_bytes()
        (run.local / "summary.json").write_text("{}")
        run.close()
        copy.update()
        expected = {f"study/a/{name}" for name in ("run.json", "summary.json", "generations.jsonl")}
        assert files(copy.local).keys() == expected
        fsspec.filesystem("memory").pipe_file("/watched/study/a/run.json", b"[]")
        fsspec.filesystem("memory").rm_file("/watched/study/a/summary.json")
        copy.update()
        assert files(copy.local).keys() == expected - {"study/a/summary.json"}
        assert files(copy.local)["study/a/run.json"] == "[]"
    assert not copy.local.exists()


def test_what_is_equal_is_not_copied_again_and_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/watched/a/run.json", b"{}")
    with Mirror(URL) as copy:
        before = fs.find("/watched", detail=True)
        monkeypatch.setattr(copy.remote, "download", lambda *_: pytest.fail("copied again"))
        copy.update()
        assert fs.find("/watched", detail=True) == before


def test_a_copy_that_fails_keeps_what_is_there_and_the_next_one_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/watched/a/run.json", b"{}")
    with Mirror(URL) as copy:
        fs.pipe_file("/watched/a/run.json", b"[]")
        with monkeypatch.context() as patch:
            patch.setattr(copy.remote, "download", lambda *_: 1 / 0)
            with pytest.raises(StoreFault, match="memory://watched: cannot be read: division"):
                copy.update()
        assert files(copy.local) == {"a/run.json": "{}"}
        copy.update()
        assert files(copy.local) == {"a/run.json": "[]"}


def test_the_copy_follows_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr(mirror, "INTERVAL_S", 0.02)
    fs = fsspec.filesystem("memory")
    with Mirror(URL) as copy:
        assert files(copy.local) == {}
        fs.pipe_file("/watched/a/run.json", b"{}")
        until = time.monotonic() + 10
        while files(copy.local) != {"a/run.json": "{}"}:
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_url_that_is_a_file_is_refused() -> None:
    fsspec.filesystem("memory").pipe_file("/watched/a", b"{}")
    with pytest.raises(ConfigError, match="is a file"), Mirror(f"{URL}/a"):
        pass
