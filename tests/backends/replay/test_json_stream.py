"""JSON too large to hold, element by element: the same values as json.loads, and every complaint with its line."""

import json
from pathlib import Path

import pytest

from harness.backends.replay import json_stream
from harness.errors import DataError


def test_lists_are_read_whatever_blanks_are_in_them_and_however_they_are_cut_into_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 7)
    lists = [*([f"é\u2028{n}" * n, "]", ",[["] for n in range(40)), 1234567890123456789, -1.5e300, None, "\\"]
    path = tmp_path / "c.json"
    for text in (json.dumps(lists), json.dumps(lists, indent=3), json.dumps(lists, ensure_ascii=False)):
        path.write_bytes(b"\xef\xbb\xbf \n" + text.encode() + b"\n \n")
        with path.open("rb") as file:
            assert [value for _, value in json_stream.elements(path, file)] == lists


def test_a_long_list_is_read_over_many_blocks(tmp_path: Path) -> None:
    lists = [["x" * 10_000, "y" * 90_000] for _ in range(5)]
    path = tmp_path / "c.json"
    path.write_text(json.dumps(lists))
    with path.open("rb") as file:
        assert [value for _, value in json_stream.elements(path, file)] == lists


def test_members_of_an_object_come_with_their_names_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "BLOCK", 5)
    path = tmp_path / "c.json"
    path.write_text('{\n"a": [1,\n2],\n\n "b\\"": {"c": "}"}\n}')
    with path.open("rb") as file:
        assert list(json_stream.members(path, file)) == [(2, "a", [1, 2]), (5, 'b"', {"c": "}"})]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1,\n2 3]", "c.json:2: malformed JSON: expected , or ], got '3'"),
        ("[1,\n]", "c.json:2: malformed JSON: Expecting value"),
        ('[1,\n"x', "c.json:2: malformed JSON: Unterminated string starting at"),
        ("[1]\n[2]", "c.json:2: malformed JSON: more behind the end"),
        ("[1,\n\n" + "[" * 100_000, "c.json:3: malformed JSON: nested too deeply"),
    ],
)
def test_malformed_text_is_named_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(text)
    with path.open("rb") as file, pytest.raises(DataError) as raised:
        list(json_stream.elements(path, file))
    assert str(raised.value).removeprefix(f"{tmp_path}/") == complaint


def test_what_is_wrong_early_is_told_before_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('["a", oops, ' + "1, " * 200_000 + "1]")
    with path.open("rb", buffering=0) as file:
        with pytest.raises(DataError, match=r"c\.json:1: malformed JSON: Expecting value"):
            list(json_stream.elements(path, file))
        assert file.tell() == json_stream.BLOCK


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(b'["a",\n"' + b"\xff" + b'"]')
    with (
        path.open("rb") as file,
        pytest.raises(DataError, match=r"c\.json:2: not UTF-8 \(invalid start byte\)"),
    ):
        list(json_stream.elements(path, file))
