"""The verdict cache's file: damaged, written by two at once, or not one's own alone, it never gives a wrong verdict."""

import multiprocessing
import random
import sqlite3
from pathlib import Path

import pytest

from harness.schema import ExecResult, Program
from tests.support.parts.scripted_sandbox import Result, ScriptedSandbox, judge, passes


def codes(results: list[Result]) -> list[str]:
    return [result.stdout for result in results if isinstance(result, ExecResult)]


def programs(count: int) -> list[Program]:
    return [Program(code=f"x = {number}") for number in range(count)]


def test_a_damaged_or_torn_file_gives_no_wrong_verdict(tmp_path: Path) -> None:
    """Property: whatever bytes are overwritten or cut off, every result is what judging gives."""
    file, rng, reused = tmp_path / "v", random.Random(0), 0
    judge(ScriptedSandbox(), programs(150), file)
    sound = file.read_bytes()
    for _ in range(60):
        spoilt = bytearray(sound)
        for _ in range(rng.choice((1, 8, 200))):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        file.write_bytes(spoilt[: rng.choice((len(spoilt), rng.randrange(len(spoilt))))])
        sandbox, warnings = ScriptedSandbox(), list[str]()
        assert codes(judge(sandbox, programs(150), file, warn=warnings.append)) == [
            program.code for program in programs(150)
        ]
        assert len(warnings) <= 1
        reused += 150 - len(sandbox.judged)
    assert 0 < reused < 60 * 150


def test_a_row_of_another_form_is_judged_anew(tmp_path: Path) -> None:
    """What the checksum does not tell: a value that this version does not write."""
    judge(ScriptedSandbox(), programs(1), tmp_path / "v")
    with sqlite3.connect(tmp_path / "v") as database:
        ((key,),) = database.execute("select key from entries").fetchall()
        from harness.files import cache_file

        text = '{"status":"won"}'
        database.execute("update entries set text = ?, sum = ?", (text, cache_file._sum(key, text)))
    database.close()
    sandbox, warnings = ScriptedSandbox(), list[str]()
    assert codes(judge(sandbox, programs(1), tmp_path / "v", warn=warnings.append)) == ["x = 0"]
    assert (len(sandbox.judged), len(warnings)) == (1, 1)


def fill(file: Path) -> None:
    def fail(message: str) -> None:
        raise AssertionError(message)

    for _ in range(5):
        results = judge(ScriptedSandbox(passes), programs(300), file, warn=fail)
        assert codes(results) == [program.code for program in programs(300)]


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    spawned = multiprocessing.get_context("fork")
    writers = [spawned.Process(target=fill, args=(tmp_path / "v",)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    sandbox = ScriptedSandbox()
    judge(sandbox, programs(300), tmp_path / "v")
    assert sandbox.judged == []


def test_a_file_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    judge(ScriptedSandbox(), programs(1), tmp_path / "v")
    (tmp_path / "v").chmod(0o622)
    sandbox, warnings = ScriptedSandbox(), list[str]()
    judge(sandbox, programs(1), tmp_path / "v", warn=warnings.append)
    assert len(sandbox.judged) == 1
    assert "others may write it: it must be yours, and chmod 600" in warnings[0]


def test_without_isolation_nothing_is_kept(tmp_path: Path) -> None:
    """There a program may write the file."""
    judge(ScriptedSandbox(isolation="process"), programs(1), tmp_path / "v")
    assert not (tmp_path / "v").exists()


def test_a_full_file_lets_the_oldest_go(tmp_path: Path) -> None:
    for start in range(0, 400, 10):
        judge(
            ScriptedSandbox(),
            [Program(code=f"{number}" + "x" * 1000) for number in range(start, start + 10)],
            tmp_path / "v",
            max_bytes=200_000,
        )
    assert (tmp_path / "v").stat().st_size < 300_000


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"no database" * 100])
def test_what_is_half_written_is_no_verdict(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v").write_bytes(content)
    sandbox = ScriptedSandbox()
    assert codes(judge(sandbox, programs(3), tmp_path / "v", warn=lambda message: None)) == [
        "x = 0", "x = 1", "x = 2",
    ]  # fmt: skip
    assert len(sandbox.judged) == 3
