"""The run folder: what is on disk is the state, whatever cut it off, and nothing on it is passed over."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ConfigError, StoreFault
from harness.runs.store import jsonl
from harness.runs.store.jsonl import JsonlFile
from harness.runs.store.run_folder import differences, open_run, read_run
from harness.schema import Completion, Generation, Judgement, Score

# Waiting for the disk hundreds of times tells nothing: a cut here is made by hand.
no_sync = patch.object(os, "fsync", lambda handle: None)
RECORD = {"run_id": "r", "config": {"task": "t", "seed": 0}, "versions": {"python": "3.11"}, "commit": "a"}


def row(name: str, index: int = 0, text: str = "x = 1\n") -> Generation:
    return Generation(problem_id=name, index=index, prompt_sha="0" * 16, completion=Completion(text=text))


def log(path: Path) -> JsonlFile[Generation]:
    return JsonlFile(path, Generation)


def filled(path: Path, *rows: Generation) -> bytes:
    file = log(path)
    for each in rows:
        file.append(each)
    file.close()
    return path.read_bytes()


CANONICAL = [f"t/{n}" for n in range(100)]


# ---------------------------------------------------------------- torn tails


@no_sync
def test_a_file_cut_at_any_byte_keeps_its_whole_lines_and_takes_the_rest_again(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    rows = [row("t/0", text="ä\u2028\n"), row("t/1", 0, ""), row("t/1", 1, "y" * 40)]
    whole = filled(path, *rows)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        file = log(path)
        kept = whole[:cut].count(b"\n")
        assert path.read_bytes() == b"".join(whole.splitlines(keepends=True)[:kept])
        assert len(file.keys) == kept
        for each in rows[kept:]:
            file.append(each)
        file.close()
        assert path.read_bytes() == whole, f"cut at byte {cut}"


@no_sync
@settings(deadline=None)
@given(texts=st.lists(st.text(max_size=20), max_size=6), data=st.data())
def test_any_texts_cut_anywhere_are_repaired(texts: list[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.jsonl"
        path.touch()
        rows = [row(f"t/{i}", text=text) for i, text in enumerate(texts)]
        whole = filled(path, *rows)
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        file = log(path)
        for each in rows:
            if not file.keys.has(each.problem_id, 0):
                file.append(each)
        assert [plain["completion"]["text"] for plain in file.rows()] == texts
        file.close()
        assert path.read_bytes() == whole


def test_a_torn_line_longer_than_the_search_step_is_cut_to_the_last_newline(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    whole = filled(path, row("t/0"))
    path.write_bytes(whole + b'{"problem_id":"t/1","completion":{"text":"' + b"z" * 200_000)
    assert list(log(path).keys) == [("t/0", 0, "")]
    assert path.read_bytes() == whole


def test_a_file_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_bytes(b'{"problem_id":"t/0"')
    assert list(log(path).keys) == []
    assert path.read_bytes() == b""


def test_half_a_surrogate_pair_in_a_completion_survives(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    filled(path, row("t/0", text="\ud83d"))
    (plain,) = log(path).rows()
    assert plain["completion"]["text"] == "\ud83d"


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (b"{\n", "Expecting property name"),
        (b"\n", "Expecting value"),
        (b"\x00\x00\x00\x00\n", "damaged row"),
        (b"\xff\xfe\n", "damaged row"),
        (b"[1]\n", "damaged row"),
        (b'{"problem_id":"t/1","prompt_sha":"","completion":{"text":""}}\n', "'index'"),
        (
            b'{"problem_id":"t/1","index":0,"prompt_sha":"","completion":{}}\n',
            "completion.text: field required",
        ),
        (
            b'{"problem_id":"t/1","index":"x","prompt_sha":"","completion":{"text":""}}\n',
            "index: input should be",
        ),
    ],
)
def test_a_damaged_line_in_the_middle_is_named_and_nothing_is_changed(
    tmp_path: Path, damage: bytes, why: str
) -> None:
    path = tmp_path / "g.jsonl"
    lines = filled(path, row("t/0"), row("t/2")).splitlines(keepends=True)
    path.write_bytes(lines[0] + damage + lines[1])
    with pytest.raises(StoreFault) as raised:
        log(path)
    assert str(raised.value).startswith(f"{path}:2: damaged row (")
    assert str(raised.value).endswith("; delete the line to have its sample made again")
    assert why in str(raised.value)
    assert path.read_bytes() == lines[0] + damage + lines[1]


def test_deleting_the_damaged_line_as_told_has_its_sample_made_again(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    lines = filled(path, row("t/0"), row("t/1"), row("t/2")).splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    file = log(path)
    file.append(row("t/1"))
    file.sort(CANONICAL)
    assert path.read_bytes() == b"".join(lines)


# ---------------------------------------------------------------- keys


def test_a_key_is_written_once(tmp_path: Path) -> None:
    file = log(tmp_path / "g.jsonl")
    file.append(row("t/0", 1))
    file.append(row("t/0", 0))
    with pytest.raises(StoreFault, match=r"g\.jsonl: t/0/1 was about to be written twice"):
        file.append(row("t/0", 1, "another text"))
    file.close()
    assert len((tmp_path / "g.jsonl").read_bytes().splitlines()) == 2


def test_a_key_written_before_is_refused_after_opening_again(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    filled(path, row("t/0"))
    with pytest.raises(StoreFault, match="written twice"):
        log(path).append(row("t/0"))


def test_a_file_that_holds_a_key_twice_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    line = filled(path, row("t/0"))
    path.write_bytes(line + filled(tmp_path / "h.jsonl", row("t/1")) + line)
    with pytest.raises(StoreFault, match=r"g\.jsonl:3: damaged row \(t/0/0 occurs twice\)"):
        log(path)


def test_judgements_of_two_scorers_are_two_keys(tmp_path: Path) -> None:
    file = JsonlFile(tmp_path / "j.jsonl", Judgement)
    for scorer in ("exact", "codebleu"):
        file.append(
            Judgement(
                problem_id="t/0", index=0, scorer=scorer, answer="", status="scored", score=Score(value=0.5)
            )
        )
    file.close()
    assert set(file.keys) == {("t/0", 0, "exact"), ("t/0", 0, "codebleu")}


# ---------------------------------------------------------------- order


@no_sync
@settings(deadline=None)
@given(order=st.permutations([(f"t/{p}", i) for p in range(4) for i in range(3)]))
def test_the_canonical_file_does_not_depend_on_the_order_of_writing(order: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g.jsonl"
        filled(path, *(row(name, index) for name, index in order))
        log(path).sort(CANONICAL)
        expected = filled(Path(folder) / "h.jsonl", *(row(f"t/{p}", i) for p in range(4) for i in range(3)))
        assert path.read_bytes() == expected


def test_sorting_is_atomic_a_failed_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "g.jsonl"
    before = filled(path, row("t/1"), row("t/0"))

    def no_rename(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_rename)
    with pytest.raises(StoreFault, match=r"g\.jsonl: cannot be written: No space left on device: make space"):
        log(path).sort(CANONICAL)
    assert path.read_bytes() == before
    monkeypatch.undo()
    log(path).sort(CANONICAL)
    assert [json.loads(line)["problem_id"] for line in path.read_bytes().splitlines()] == ["t/0", "t/1"]
    assert [each.name for each in tmp_path.iterdir()] == ["g.jsonl"]


def test_a_file_in_order_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    filled(path, row("t/0"), row("t/1"))
    before = path.stat()
    log(path).sort(CANONICAL)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_rows_appended_after_sorting_stand_behind(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    file = log(path)
    for name in ("t/2", "t/0"):
        file.append(row(name))
    file.sort(CANONICAL)
    file.append(row("t/1"))
    file.close()
    assert [json.loads(line)["problem_id"] for line in path.read_bytes().splitlines()] == [
        "t/0",
        "t/2",
        "t/1",
    ]


def test_dropped_rows_are_gone_from_file_and_keys_and_may_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    filled(path, row("t/0"), row("t/1"), row("t/2"))
    file = log(path)
    file.drop(lambda row: row.problem_id == "t/1")
    assert set(file.keys) == {("t/0", 0, ""), ("t/2", 0, "")}
    file.append(row("t/1"))
    file.close()
    assert [json.loads(line)["problem_id"] for line in path.read_bytes().splitlines()] == [
        "t/0",
        "t/2",
        "t/1",
    ]


# ---------------------------------------------------------------- writing through


def test_rows_are_on_disk_after_a_batch_without_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    file = log(tmp_path / "g.jsonl")
    monkeypatch.setattr(jsonl, "monotonic", lambda: 0.0)  # the clock asks for nothing
    for i in range(jsonl.FLUSH_ROWS):
        assert synced == []
        file.append(row(f"t/{i}"))
    assert len(synced) == 1
    assert (tmp_path / "g.jsonl").read_bytes().count(b"\n") == 64
    file.close()


def test_a_full_disk_is_a_fault_that_names_the_file() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    file = JsonlFile(Path("/nowhere/g.jsonl"), Generation)
    file.path = full
    with pytest.raises(StoreFault) as raised:
        file.append(row("t/0"))  # the first row is written through: nothing ever was
    assert str(raised.value) == (
        "/dev/full: cannot be written: No space left on device. 0 rows are safe in it: make space, then"
        " rerun to resume"
    )
    file.close()


# ---------------------------------------------------------------- the run folder


def test_one_writer_at_a_time_in_this_process(tmp_path: Path) -> None:
    with open_run(tmp_path / "r", RECORD):
        with pytest.raises(
            StoreFault, match="is being written by another process: wait for it, or choose another"
        ):
            open_run(tmp_path / "r", RECORD)
    with open_run(tmp_path / "r", RECORD) as again:
        assert again.folder == tmp_path / "r"


def test_one_writer_at_a_time_over_processes_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.runs.store.run_folder import open_run\n"
        f"opened = open_run(Path({str(tmp_path)!r}), {RECORD!r})\n"
        "print('open', flush=True)\nsys.stdin.read()"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    with other.stdin, other.stdout:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreFault, match="another process"):
            open_run(tmp_path, RECORD)
        other.kill()
        assert other.wait() == -9
    open_run(tmp_path, RECORD).__exit__(None, None, None)


def test_a_refused_folder_is_not_left_locked(tmp_path: Path) -> None:
    open_run(tmp_path, RECORD).__exit__(None, None, None)
    with pytest.raises(ConfigError):
        open_run(tmp_path, {**RECORD, "problems": 3})
    open_run(tmp_path, RECORD).__exit__(None, None, None)


def test_a_folder_of_another_config_is_refused_naming_the_fields(tmp_path: Path) -> None:
    open_run(tmp_path, RECORD).__exit__(None, None, None)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(ConfigError) as raised:
        open_run(tmp_path, {**RECORD, "config": {"task": "t", "seed": 1, "limit": 3}})
    assert str(raised.value) == (
        f"{tmp_path} holds another run: config.limit: None there, 3 now; config.seed: 0 there, 1 now."
        " Choose another --out"
    )
    assert (tmp_path / "run.json").read_bytes() == before


def test_versions_hardware_and_commit_may_differ_on_resume_and_stay_as_they_were(tmp_path: Path) -> None:
    open_run(tmp_path, RECORD).__exit__(None, None, None)
    before = (tmp_path / "run.json").read_bytes()
    moved = {**RECORD, "versions": {"python": "3.12"}, "commit": "b", "hardware": {"cores": 1}}
    open_run(tmp_path, moved).__exit__(None, None, None)
    assert (tmp_path / "run.json").read_bytes() == before


def test_the_same_names_deeper_down_are_no_incidental_fields() -> None:
    old, new = {"backend": {"commit": "a"}}, {"backend": {"commit": "b"}}
    assert list(differences(old, new)) == [("backend.commit", "a", "b")]


def test_generations_without_a_run_json_are_not_taken_over(tmp_path: Path) -> None:
    filled(tmp_path / "generations.jsonl", row("t/0"))
    with pytest.raises(ConfigError, match=r"holds generations but no run\.json: choose another --out"):
        open_run(tmp_path, RECORD)


def test_an_unreadable_run_json_is_a_fault_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(StoreFault, match=r"run\.json: cannot be read as JSON"):
        open_run(tmp_path, RECORD)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(StoreFault, match=r"run\.json: expected an object, got list"):
        open_run(tmp_path, RECORD)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(ConfigError, match="is a file; a run needs a folder"):
        open_run(tmp_path / "f", RECORD)
    with pytest.raises(StoreFault, match="cannot be written: Not a directory"):
        open_run(tmp_path / "f" / "below", RECORD)


def test_only_a_finished_run_is_reported(tmp_path: Path) -> None:
    open_run(tmp_path, RECORD).__exit__(None, None, None)
    with pytest.raises(ConfigError, match=r"is not a finished run: it has no summary\.json"):
        read_run(tmp_path)
