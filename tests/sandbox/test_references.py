"""What references say is kept between runs: verdicts are the same, and no program has a say in what is kept."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.sandbox import references
from harness.sandbox.python import input_chunks, spelled_inputs
from harness.schema import ExecResult, Limits, Program, UnitTests
from harness.tasks.families import evalplus

LIMITS = Limits(cpu_s=2.0, wall_s=10.0, memory_mb=512, output_kb=64)
WHO = {"version": "3.11.7", "packages": {}}


def spelling_out(value: str, count: int = 1200) -> UnitTests:
    row = {"entry_point": "f", "atol": 0, "base_input": [[n] for n in range(count)], "plus_input": []}
    return evalplus.tests(row, f"def f(x):\n    return {value}", evalplus.AGREES)


def digest(tests: UnitTests) -> bytes:
    return spelled_inputs.digest_of(tests.setup, tests.code)


def judged(file: Path | None, *programs: tuple[str, UnitTests], **more: Any) -> list[ExecResult]:
    """By a sandbox of their own, which keeps references in the file."""
    with sandbox.start(sandbox.Settings(workers=1, **more)) as pool:
        if file is not None:
            pool.keep_references(file)
        return [pool.run(Program(code=code, tests=tests, limits=LIMITS)) for code, tests in programs]


def verdicts(results: list[ExecResult]) -> list[tuple[str, ...]]:
    return [(each.status, each.detail, each.judge, each.stdout) for each in results]


def kept(file: Path) -> list[tuple[bytes, str]]:
    with closing(sqlite3.connect(file)) as database:
        return list(database.execute("select key, text from entries order by id"))


def stored(file: Path, tests: UnitTests, chunks: list[input_chunks.InputChunk]) -> None:
    """As if an earlier run had been told so."""
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        cache = references.ReferenceCache(
            file, references.identity(pool.python.version, pool.packages), print
        )
    cache.add(digest(tests), input_chunks.pack(chunks))
    cache.close()


def right_values(*values: Any) -> list[input_chunks.InputChunk]:
    return input_chunks.chunks_of(
        lambda given: (values[given[0]], 1.0), [[number] for number in range(len(values))]
    )


PROGRAMS = [
    ("[x, str(x)]", "def f(x):\n    return [x, str(x)]"),
    ("[x, str(x)]", "def f(x):\n    return [x, str(x) if x != 1100 else '']"),
    ("[x, str(x)]", "def f(x):\n    return (x, str(x))"),
    ("[x, str(x)]", "def f(x):\n    return [x, str(x)] if x < 900 else 1 / 0"),
    ("[x, str(x)]", "def f(x):\n    return iter([x, str(x)])"),
    ("[x, str(x)]", "print('said')\nclass List(list): pass\ndef f(x):\n    return List([x, str(x)])"),
    ("x / 3", "def f(x):\n    return x / 3 + 1e-9"),
    ("{1: x, 2: x}", "def f(x):\n    return {2: x, 1: x}"),
    ("float('nan') if x == 700 else x", "def f(x):\n    return float('nan') if x == 700 else x"),
    ("'y' * 40000 if x < 50 else x", "def f(x):\n    return 'y' * 40000 if x < 50 else x"),
    ("'y' * 40000 if x < 50 else x", "def f(x):\n    return 'y' * 40000 if x < 49 else x"),
    ("range(x)", "def f(x):\n    return range(x)"),
]


def test_a_second_run_says_the_same_of_every_program(tmp_path: Path) -> None:
    file = tmp_path / "references.sqlite"
    asked = [(code, spelling_out(value)) for value, code in PROGRAMS]
    plain = verdicts(judged(None, *asked))
    assert verdicts(judged(file, *asked)) == plain
    first = kept(file)
    assert len(first) == len({value for value, _ in PROGRAMS}) - 1  # a range is no plain data
    assert verdicts(judged(file, *asked)) == plain
    assert verdicts(judged(file, *asked[::-1])) == plain[::-1]
    assert kept(file) == first
    assert {status for status, *_ in plain} == {"passed", "failed", "error"}


def test_what_is_kept_is_taken_for_equal_tests_alone(tmp_path: Path) -> None:
    file, tests = tmp_path / "references.sqlite", spelling_out("x", 3)
    stored(file, tests, right_values(0, 1, 7))
    program = "def f(x):\n    return x if x < 2 else 7"
    assert [each.status for each in judged(file, (program, tests))] == ["passed"]
    for other in (spelling_out("x + 0", 3), tests.model_copy(update={"code": f"{tests.code}\n"})):
        assert [each.status for each in judged(file, (program, other))] == ["failed"]
    for changed in ({"version": "3.11.6"}, {"packages": {"numpy": "1"}}):
        cache = references.ReferenceCache(file, references.identity(**(WHO | changed)), print)  # type: ignore[arg-type]
        assert cache.find(digest(tests)) == b""
        cache.close()


HOSTILE = """\
import os, struct, sys
def f(x):
    for fd in range(3, 12):
        for text in (b"V" + b"i" + bytes(4), b"M", b"B", b"references"):
            try:
                os.write(fd, struct.pack("<I", len(text)) + text)
            except OSError:
                pass
    return 0
"""


def test_no_program_has_a_say_in_what_is_kept(tmp_path: Path) -> None:
    tests = spelling_out("x * x")
    right = "def f(x):\n    return x * x"
    judged(tmp_path / "honest", (right, tests))
    for number, program in enumerate(
        (HOSTILE, "import os\nos._exit(0)", "def f(x):\n    return 0", "f = 1 /")
    ):
        file = tmp_path / f"hostile{number}"
        results = judged(file, (program, tests), (right, tests))
        assert results[0].status != "passed"
        assert results[1].status == "passed"
        assert [text for _, text in kept(file)] in ([text for _, text in kept(tmp_path / "honest")], [])
        assert judged(file, (right, tests), ("def f(x):\n    return 0", tests))[0].status == "passed"


def test_what_is_damaged_is_computed_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, tests = tmp_path / "references.sqlite", spelling_out("x", 50)
    asked = [("def f(x):\n    return x", tests), ("def f(x):\n    return x % 49", tests)]
    plain = verdicts(judged(None, *asked))
    stored(file, tests, right_values(*range(50)))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("update entries set text = 'AAAA' || substr(text, 5)")
    assert verdicts(judged(file, *asked)) == plain
    assert "a row is damaged" in caplog.text
    file.write_bytes(b"no database" * 100)
    assert verdicts(judged(file, *asked)) == plain


def test_what_another_hand_wrote_with_a_right_checksum_is_no_value(tmp_path: Path) -> None:
    tests = spelling_out("x", 50)
    plain = verdicts(judged(None, ("def f(x):\n    return x", tests)))
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        who = references.identity(pool.python.version, pool.packages)
    for number, data in enumerate(
        (b"", b"{", b"i\1\0\0\0", b"[\0\0\0\0", b"\xff", input_chunks.pack(right_values(1))[:-9])
    ):
        file = tmp_path / f"{number}"
        cache = references.ReferenceCache(file, who, print)
        cache.add(digest(tests), data)
        cache.close()
        assert verdicts(judged(file, ("def f(x):\n    return x", tests))) == plain


def test_a_file_that_programs_or_others_could_write_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, tests = tmp_path / "references.sqlite", spelling_out("x", 50)
    judged(file, ("def f(x):\n    return x", tests), isolation="process")
    assert not file.exists()
    stored(file, tests, right_values(*[0] * 50))
    file.chmod(0o666)
    with caplog.at_level(logging.WARNING):
        results = judged(file, ("def f(x):\n    return x", tests))
    assert results[0].status == "passed"
    assert "others may write it" in caplog.text
    assert os.stat(file).st_mode & 0o777 == 0o666


def test_values_are_read_as_they_were_written() -> None:
    long = "y" * 40000
    (chunk,) = right_values(1, float("nan"), long, [2.5, None])
    (back,) = input_chunks.unpack(input_chunks.pack([chunk]))
    assert (back.request, back.replies, back.ends, back.cpu_s) == (
        chunk.request,
        chunk.replies,
        chunk.ends,
        chunk.cpu_s,
    )
    assert repr(back.values[1]) == "nan"
    assert back.values[2].digest == chunk.values[2].digest
    assert back.must_read(0) == 1
    assert input_chunks.pack(right_values(1, range(2))) == b""
    assert input_chunks.pack(right_values(1, object())) == b""


def test_too_many_bytes_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_chunks, "MAX_KEPT_BYTES", 2000)
    assert input_chunks.pack(right_values(*range(10)))
    assert input_chunks.pack(right_values(*range(500))) == b""
