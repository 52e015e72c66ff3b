"""Benchmark files as they are found in the wild: every way of being wrong is named with file and line."""

import gzip
import hashlib
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.schema import Card, DataFile, HubFile, Problem, Reference, Sampling, Source, Split, Task
from harness.tasks.loading import data_files

HUB = HubFile(
    repo="some-org/some-data", revision="0123456789abcdef0123456789abcdef01234567", path="data/rows.jsonl"
)
FILE = DataFile("bench", "rows.jsonl")
LIST = DataFile("bench", "rows.json")


def read(folder: Path, blob: bytes, name: str = "rows.jsonl", fields: tuple[str, ...] = ()) -> list[Any]:
    """The rows of a data folder that holds this one file."""
    (folder / "bench").mkdir(exist_ok=True)
    (folder / "bench" / name).write_bytes(blob)
    return list(data_files.DataFolders((folder,)).rows(DataFile("bench", name.removesuffix(".gz")), fields))


def refused(folder: Path, blob: bytes, name: str = "rows.jsonl", fields: tuple[str, ...] = ()) -> str:
    """The complaint, without the folder that it starts with."""
    with pytest.raises(DataError) as raised:
        read(folder, blob, name, fields)
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(f"{folder}/bench/")
    return text.removeprefix(f"{folder}/bench/")


def problems(load: Callable[[Split, Source], Iterable[Problem]]) -> Task:
    card = Card(title="", paper="", licence="", url="", sizes={"test": 2}, setting="")
    return Task("bench", 1, load, (), lambda problem, completion: "", (), Sampling(), card)


def load_rows(split: Split, source: Source) -> Iterable[Problem]:
    for row in source.rows(FILE, ("id", "q")):
        yield Problem(id=row["id"], question=row["q"], solution="", check=Reference(texts=("",)))


# ---------------------------------------------------------------- formats


def test_json_lines_are_rows_and_blank_lines_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"a": 1}\n\n  \r\n{"a": 2}\r\n{"a": 3}') == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_a_json_list_is_rows_whatever_its_name(tmp_path: Path) -> None:
    blob = b' [\n {"a": 1},\n {"a": 2}\n]\n'
    assert read(tmp_path, blob, "rows.json") == [{"a": 1}, {"a": 2}]
    assert read(tmp_path, blob, "rows.jsonl") == [{"a": 1}, {"a": 2}]


def test_json_lines_may_be_called_json(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"a": 1}\n{"a": 2}\n', "rows.json") == [{"a": 1}, {"a": 2}]


def test_a_gzipped_file_stands_for_the_plain_one_and_has_its_digest(tmp_path: Path) -> None:
    blob = b'{"a": 1}\n'
    assert read(tmp_path, gzip.compress(blob), "rows.jsonl.gz") == [{"a": 1}]
    source = data_files.DataFolders((tmp_path,))
    list(source.rows(FILE))
    assert source.digests == {"bench/rows.jsonl": hashlib.sha256(blob).hexdigest()}


def test_the_plain_file_wins_over_the_gzipped_one(tmp_path: Path) -> None:
    read(tmp_path, gzip.compress(b'{"a": 1}\n'), "rows.jsonl.gz")
    assert read(tmp_path, b'{"a": 2}\n') == [{"a": 2}]


def test_a_parquet_file_is_rows_in_order(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"task_id": "T/0", "n": 1, "xs": ["a"]}, {"task_id": "T/1", "n": None, "xs": []}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x")
    assert read(tmp_path, (tmp_path / "x").read_bytes(), "rows.parquet") == rows


def test_a_missing_field_of_a_parquet_row_is_named_with_the_row(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{"a": 1}]), tmp_path / "x")
    text = refused(tmp_path, (tmp_path / "x").read_bytes(), "rows.parquet", ("a", "b"))
    assert text == "rows.parquet, row 1: field 'b' is missing; the row has a"


@pytest.mark.parametrize("blob", [b"", b"PAR1", b"no parquet at all", b"PAR1" + b"\0" * 64 + b"PAR1"])
def test_a_damaged_parquet_file_is_named(tmp_path: Path, blob: bytes) -> None:
    text = refused(tmp_path, blob, "rows.parquet")
    assert text.startswith("rows.parquet: damaged parquet file (")
    assert text.endswith("); fetch it again")


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    assert read(tmp_path, b'\xef\xbb\xbf{"a": 1}\n') == [{"a": 1}]
    assert read(tmp_path, b'\xef\xbb\xbf[{"a": 1}]', "rows.json") == [{"a": 1}]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e"])
def test_line_separators_of_unicode_do_not_end_a_row(tmp_path: Path, separator: str) -> None:
    text = json.dumps({"a": f"x{separator}y"}, ensure_ascii=False) if separator > "\x20" else None
    blob = (text or json.dumps({"a": f"x{separator}y"})).encode()
    assert read(tmp_path, blob + b"\n" + blob) == [{"a": f"x{separator}y"}] * 2


def test_integers_of_any_size_are_read(tmp_path: Path) -> None:
    huge = "7" * 10_000
    (row,) = read(tmp_path, f'{{"a": {huge}}}'.encode())
    assert row["a"] % 10**6 == 777_777
    assert row["a"].bit_length() == 33_219
    with pytest.raises(ValueError, match="Exceeds the limit"):
        int(huge)  # the limit is in force again


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(rows=st.lists(st.fixed_dictionaries({"a": values}), max_size=5), plain=st.booleans())
def test_any_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Mapping[str, Any]], plain: bool
) -> None:
    folder = tmp_path_factory.mktemp("data")
    lines = "\n".join(json.dumps(row, ensure_ascii=not plain) for row in rows)
    assert read(folder, lines.encode("utf-8", "surrogatepass")) == rows
    listed = json.dumps(rows, indent=1, ensure_ascii=not plain)
    assert read(folder, listed.encode("utf-8", "surrogatepass"), "rows.json") == rows


# ---------------------------------------------------------------- damage


def test_a_malformed_row_is_named_with_its_line(tmp_path: Path) -> None:
    assert refused(tmp_path, b'{"a": 1}\n\n{"a": }\n') == (
        "rows.jsonl:3: malformed JSON: Expecting value at column 7"
    )


def test_a_truncated_last_row_is_named_with_its_line(tmp_path: Path) -> None:
    assert refused(tmp_path, b'{"a": 1}\n{"a": "x') == (
        "rows.jsonl:2: malformed JSON: Unterminated string starting at at column 7"
    )


def test_a_truncated_list_is_named_with_the_line_where_it_breaks(tmp_path: Path) -> None:
    assert refused(tmp_path, b'[\n{"a": 1},\n{"a": 2}\n', "rows.json") == (
        "rows.json:4: malformed JSON: Expecting ',' delimiter at column 1"
    )


def test_json_that_is_nested_too_deeply_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, b'{"a": 1}\n{"a": ' + b"[" * 100_000) == (
        "rows.jsonl:2: malformed JSON: nested too deeply"
    )


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    assert refused(tmp_path, b'{"a": 1}\n{"a": 2}\n{"a": "\xe9t\xe9"}\n') == (
        "rows.jsonl:3: not UTF-8 (invalid continuation byte at byte 25)"
    )


def test_utf16_as_some_shells_write_it_is_named(tmp_path: Path) -> None:
    text = refused(tmp_path, '{"a": 1}\n'.encode("utf-16"))
    assert text == "rows.jsonl:1: not UTF-8 (invalid start byte at byte 0)"


def test_a_corrupt_gzip_file_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": 1}\n' * 100, mtime=0)
    middle = bytearray(whole)
    middle[14] ^= 0xFF
    for blob in (whole[:-9], whole[:5], bytes(middle), b"no gzip"):
        text = refused(tmp_path, blob, "rows.jsonl.gz")
        assert text.startswith("rows.jsonl.gz: damaged gzip file (")
        assert text.endswith("); fetch it again")


def test_a_gzip_file_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    blob = bytearray(gzip.compress(b'{"a": 1}\n'))
    blob[-8] ^= 0xFF
    assert "CRC check failed" in refused(tmp_path, bytes(blob), "rows.jsonl.gz")


def test_a_row_that_is_no_object_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, b'{"a": 1}\n"text"\n') == "rows.jsonl:2: expected an object, got str"
    assert refused(tmp_path, b'[{"a": 1}, 5]', "rows.json") == "rows.json, row 2: expected an object, got int"


def test_a_missing_field_is_named_with_file_and_line_and_what_there_is(tmp_path: Path) -> None:
    assert refused(tmp_path, b'{"a": 1, "b": 2}\n{"c": 1, "b": 2}\n', fields=("a", "b")) == (
        "rows.jsonl:2: field 'a' is missing; the row has b, c"
    )


# ---------------------------------------------------------------- problems


def load(folder: Path, blob: bytes, limit: int | None = None) -> list[str]:
    (folder / "bench").mkdir(exist_ok=True)
    (folder / "bench" / "rows.jsonl").write_bytes(blob)
    source = data_files.DataFolders((folder,))
    return [problem.id for problem in data_files.load(problems(load_rows), "test", source, limit)]


def test_problems_come_in_the_order_of_the_file_up_to_the_limit(tmp_path: Path) -> None:
    blob = b'{"id": "b", "q": ""}\n{"id": "a", "q": ""}\n{"id": "c", "q": ""}\n'
    assert load(tmp_path, blob) == ["b", "a", "c"]
    assert load(tmp_path, blob, 2) == ["b", "a"]


def test_a_doubled_id_is_named_with_its_second_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"/bench/rows\.jsonl:3: id 'a' occurs twice$"):
        load(tmp_path, b'{"id": "a", "q": ""}\n{"id": "b", "q": ""}\n{"id": "a", "q": "other"}\n')


def test_a_value_of_the_wrong_type_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"/bench/rows\.jsonl:2: question: input should be a valid string, got 5$"
    ):
        load(tmp_path, b'{"id": "a", "q": ""}\n{"id": "b", "q": 5}\n')


def test_half_a_surrogate_pair_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1: question: half a surrogate pair in it"):
        load(tmp_path, b'{"id": "a", "q": "\\ud83d"}\n')


def test_a_file_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^task 'bench' has no test rows in bench/rows\.jsonl$"):
        load(tmp_path, b"\n\n")


# ---------------------------------------------------------------- finding files


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        data_files.DataFolders((tmp_path,)).locate(DataFile("bench", "rows.jsonl", HUB))
    assert str(raised.value) == (
        f"no file 'rows.jsonl' of 'bench': looked for {tmp_path}/bench/rows.jsonl or the hub cache"
        " (some-org/some-data). Give its folder with --data DIR or HARNESS_DATA (the file goes to"
        " DIR/bench/rows.jsonl), run 'harness data fetch bench', or use the project's own small rows"
        " with --data mini"
    )


def test_what_cannot_be_fetched_is_not_advised_to_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        data_files.DataFolders((tmp_path,)).locate(FILE)
    assert "harness data fetch" not in str(raised.value)
    assert "Give its folder with --data DIR" in str(raised.value)


def test_a_data_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"^no data folder '.*/no': give a folder that holds <benchmark>/<file>"
    ):
        data_files.open_source(str(tmp_path / "no"))


def test_the_mini_rows_are_never_mixed_with_the_hub_cache(hub_cache: Path) -> None:
    del hub_cache
    assert data_files.open_source("mini").find(DataFile("bench", "rows.jsonl", HUB)) is None


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache with the pinned file in it, laid out as huggingface_hub does; and no network."""
    cache = tmp_path / "hub"
    repo = cache / "datasets--some-org--some-data"
    blob = repo / "blobs" / "b10b"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b'{"id": "cached", "q": ""}\n')
    file = repo / "snapshots" / HUB.revision / HUB.path
    file.parent.mkdir(parents=True)
    file.symlink_to("../../../blobs/b10b")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def no_network(*arguments: Any, **more: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    return file


def test_the_pinned_file_is_found_in_the_hub_cache_without_network(hub_cache: Path) -> None:
    source = data_files.open_source(None)
    file = DataFile("bench", "rows.jsonl", HUB)
    assert source.find(file) == hub_cache
    assert list(source.rows(file)) == [{"id": "cached", "q": ""}]
    assert source.digests == {
        "bench/rows.jsonl": "62747578d03bc4bdc4f96192030d632c385b4cc83a52be49271cf52b054cb485"
    }


def test_another_revision_in_the_hub_cache_is_not_taken(hub_cache: Path) -> None:
    del hub_cache
    other = HubFile(HUB.repo, "f" * 40, HUB.path)
    assert data_files.open_source(None).find(DataFile("bench", "rows.jsonl", other)) is None


def test_the_data_folder_is_searched_before_the_hub_cache(hub_cache: Path, tmp_path: Path) -> None:
    del hub_cache
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "rows.jsonl").write_text('{"id": "mine"}\n')
    source = data_files.open_source(str(tmp_path))
    assert list(source.rows(DataFile("bench", "rows.jsonl", HUB))) == [{"id": "mine"}]


def test_a_file_that_is_known_not_to_exist_on_the_hub_is_not_there(hub_cache: Path) -> None:
    gone = hub_cache.parents[3] / ".no_exist" / HUB.revision / "data" / "gone.jsonl"
    gone.parent.mkdir(parents=True)
    gone.touch()
    file = DataFile("bench", "gone.jsonl", HubFile(HUB.repo, HUB.revision, "data/gone.jsonl"))
    assert data_files.open_source(None).find(file) is None
