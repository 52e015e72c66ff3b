"""The file of the completion cache: many write to it, it is killed, damaged, held or full, and no answer is wrong."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from harness.backends.completion_cache import CompletionCache
from harness.files import cache_file
from harness.schema import Request
from tests.support.parts.completion_cache import ASKED, DRAWN, MODEL, found, made, put
from tests.support.paths import ROOT


def fill(file: Path, worker: int, count: int) -> None:
    with CompletionCache(file, {"backend": f"worker {worker % 2}"}, DRAWN, warn=fail) as known:
        for i in range(count):
            known.add(ASKED, made(f"p/{i}", text=f"{worker % 2} {i}"))
            if i % 7 == 0:
                known.flush()


def fail(message: str) -> None:
    raise AssertionError(message)


def test_many_processes_write_and_read_one_file(tmp_path: Path) -> None:
    spawned = multiprocessing.get_context("fork")
    workers = [spawned.Process(target=fill, args=(tmp_path / "a", n, 60)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    for n in range(2):
        with CompletionCache(tmp_path / "a", {"backend": f"worker {n}"}, DRAWN, warn=fail) as known:
            wanted = [Request(f"p/{i}", ASKED, (0,)) for i in range(60)]
            assert [each.completion.text for each in known.find(wanted)] == [f"{n} {i}" for i in range(60)]


def test_a_writer_that_is_killed_leaves_a_file_that_works(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom tests.backends.completion_cache.test_file import fill\n"
        f"print('go', flush=True)\nfill(Path({str(tmp_path / 'a')!r}), 0, 10**6)"
    )
    for pause in (0.2, 0.31, 0.45):
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            try:
                writer.wait(pause)
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
        fill(tmp_path / "a", 1, 8)
        with CompletionCache(tmp_path / "a", {"backend": "worker 0"}, DRAWN, warn=fail) as known:
            wanted = [Request(f"p/{i}", ASKED, (0,)) for i in range(500)]
            texts = [each.completion.text for each in known.find(wanted)]
        assert texts == [f"0 {i}" for i in range(len(texts))]
    assert texts


def test_a_damaged_file_is_left_out_and_never_gives_another_answer(tmp_path: Path) -> None:
    """Bytes overwritten anywhere: what is found is right, or nothing is, with one warning."""
    file, rng = tmp_path / "a", random.Random(0)
    put(file, *(made(f"p/{i}", text=f"answer {i} " * 40) for i in range(40)))
    sound = file.read_bytes()
    warned = 0
    for _ in range(60):
        spoilt = bytearray(sound)
        for _ in range(rng.choice((1, 8, 200))):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        file.write_bytes(spoilt[: rng.choice((len(spoilt), len(spoilt) // 2))])
        warnings: list[str] = []
        with CompletionCache(file, MODEL, DRAWN, warn=warnings.append) as known:
            for i in range(40):
                for each in known.find([Request(f"p/{i}", ASKED, (0,))]):
                    assert each.completion == made(f"p/{i}", text=f"answer {i} " * 40).completion
                known.add(ASKED, made(f"n/{i}"))
        assert len(warnings) <= 1
        warned += len(warnings)
    assert warned > 20
    file.write_bytes(b"no database" * 100)
    shown: list[str] = []
    assert found(file, warn=shown.append) == []
    assert shown == [
        f"the completion cache {file} cannot be used (file is not a database): nothing is reused or kept from here on."
        " If it is damaged, delete it; --no-cache turns it off"
    ]


@pytest.mark.parametrize("where", ["file/below/a", "folder"])
def test_a_store_that_cannot_be_made_is_done_without(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    warnings: list[str] = []
    put(tmp_path / where, made(), warn=warnings.append)
    assert len(warnings) == 1


def test_a_store_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a") as base:
        base.execute("pragma user_version = 99")
    base.close()
    warnings: list[str] = []
    put(tmp_path / "a", made(), warn=warnings.append)
    assert "it is of layout 99, and this version writes 2" in warnings[0]


def test_a_store_that_another_holds_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "BUSY_TIMEOUT_S", 0.05)
    put(tmp_path / "a", made())
    holder = sqlite3.connect(tmp_path / "a", isolation_level=None)
    holder.execute("begin exclusive")
    warnings: list[str] = []
    assert found(tmp_path / "a", warn=warnings.append) == []
    assert "database is locked" in warnings[0]
    holder.close()
    assert found(tmp_path / "a") == ["x = 1"]


def test_a_full_store_lets_the_oldest_go_and_stays_of_its_size(tmp_path: Path) -> None:
    for i in range(40):
        put(tmp_path / "a", *(made(f"p/{i}.{j}", text="x" * 1000) for j in range(10)), max_bytes=200_000)
    assert (tmp_path / "a").stat().st_size < 300_000
    assert found(tmp_path / "a", name="p/39.9") == ["x" * 1000]
    assert found(tmp_path / "a", name="p/0.0") == []
