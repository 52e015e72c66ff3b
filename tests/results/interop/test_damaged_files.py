"""Files that are damaged, too large when unpacked, or in the way: one line each, never a traceback."""

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from harness import files
from harness.errors import DataError
from harness.results.interop import every_eval_ever, readers
from tests.support.command import harness
from tests.support.recordings import make


def archive(path: Path, method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    with zipfile.ZipFile(path, "w", method) as zipped:
        zipped.writestr("header.json", json.dumps({"x": "y" * 4000}))
    return bytearray(path.read_bytes())


def encrypted(path: Path) -> None:
    blob = archive(path)
    blob[blob.index(b"PK\3\4") + 6] |= 1
    blob[blob.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(blob)


def newer(path: Path) -> None:
    blob = archive(path)
    blob[blob.index(b"PK\1\2") + 6] = 99
    path.write_bytes(blob)


def lzma(path: Path) -> None:
    blob = archive(path, zipfile.ZIP_LZMA)
    blob[60:80] = bytes(each ^ 0xFF for each in blob[60:80])
    path.write_bytes(blob)


def bzip2(path: Path) -> None:
    blob = archive(path, zipfile.ZIP_BZIP2)
    blob[45:60] = bytes(each ^ 0xFF for each in blob[45:60])
    path.write_bytes(blob)


@pytest.mark.parametrize("damage", [encrypted, newer, lzma, bzip2])
def test_an_archive_that_cannot_be_unpacked_is_told(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    damage(tmp_path / "log.eval")
    with pytest.raises(DataError, match=r"log\.eval: damaged archive of Inspect"):
        readers.read_results(tmp_path / "log.eval")


def test_what_unpacks_to_more_than_the_limit_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_UNPACKED", 4000)
    archive(tmp_path / "log.eval")
    (tmp_path / "m_results.jsonl.gz").write_bytes(gzip.compress(b" " * 4001))
    for name in ("log.eval", "m_results.jsonl.gz"):
        with pytest.raises(DataError, match="unpacks to more than 1 GiB"):
            readers.read_results(tmp_path / name)
    (tmp_path / "m.gz").write_bytes(gzip.compress(b" " * 4000))
    assert files.read(tmp_path / "m.gz") == b" " * 4000


def test_a_file_where_a_folder_is_to_be_is_told(tmp_path: Path) -> None:
    run, wall = make(tmp_path / "run", right={0}), tmp_path / "wall"
    harness("export", run, "--format", "lm-eval", "--out", tmp_path / "lm")
    wall.write_text("")
    model = ("--model", "org/m")
    for arguments in (
        ("import", tmp_path / "lm", "--out", wall),
        ("export", run, "--format", "lm-eval", "--out", wall / "x"),
        ("export", run, "--format", "every-eval-ever", *model, "--out", wall / "x"),
    ):
        ended = harness(*arguments)
        assert (ended.code, ended.err.count("\n")) == (3, 1), ended.err
        assert "the folder cannot be made" in ended.err


@pytest.mark.parametrize("model", ["../x", "x/..", "./x", "x/.", "a/b/c"])
def test_a_model_of_every_eval_ever_names_no_folder_above(tmp_path: Path, model: str) -> None:
    run = make(tmp_path / "run", right={0})
    given = ("--format", "every-eval-ever", "--model", model, "--out", tmp_path / "out")
    assert "give --model" in harness("export", run, *given).complaint
    assert every_eval_ever.MODEL_ID.fullmatch(".org/m.")


def test_half_a_surrogate_pair_in_a_question_is_exported(tmp_path: Path) -> None:
    run = make(tmp_path / "run", right={0})
    problems = run / "problems.jsonl"
    problems.write_text(problems.read_text().replace('"say 0"', r'"say \ud800"'))
    given = ("--format", "every-eval-ever", "--model", "org/m", "--out", tmp_path / "out")
    ended = harness("export", run, *given)
    assert ended.code == 0, ended.err
