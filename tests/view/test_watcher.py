"""The list of runs: found, told apart, counted as they write; nothing is locked and nothing written."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness.backends import pricing
from harness.config.load import parse
from harness.schema import Completion
from harness.view import events, folders, watcher
from harness.view.appended import AppendedRows
from harness.view.live_counts import LiveCounts
from harness.view.run_card import RunCard
from harness.view.watcher import Watcher
from tests.support.parts.written_run import WrittenRun
from tests.support.recordings import edit, make


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look looks."""
    monkeypatch.setattr(watcher, "LOOK_S", 0.0)
    monkeypatch.setattr(watcher, "SEARCH_S", 0.0)


def cards(root: Path) -> dict[str, RunCard]:
    return {card.run: card for card in Watcher(root).look()}


def test_whole_lines_are_read_once_and_a_file_that_was_replaced_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    rows = AppendedRows(path)
    assert (rows.read().lines, rows.read().last) == ((), True)
    path.write_bytes(b"one\ntwo\nthr")
    assert rows.read().lines == [(0, b"one\n"), (4, b"two\n")]
    with path.open("ab") as file:
        file.write(b"ee\n")
    assert rows.read().lines == [(8, b"three\n")]
    (tmp_path / "sorted").write_bytes(b"three\ntwo\none\n")
    (tmp_path / "sorted").replace(path)
    block = rows.read()
    assert (block.anew, block.lines) == (True, [(0, b"three\n"), (6, b"two\n"), (10, b"one\n")])
    path.write_bytes(b"one\ntwo\nthree\nfour\n")  # in place: the inode stays
    assert rows.read().anew


def test_a_finished_run_is_told_by_its_summary(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    make(tmp_path / "study" / "base", range(20), samples=3)
    card = cards(tmp_path)["study/base"]
    assert (card.state, card.done, card.total, card.task) == ("finished", 120, 120, "letters")
    assert card.result == "em@1 50.00 (35.20 to 64.80)"
    assert card.about == "base, zero-shot, seed 0"
    assert card.notes[0] == "em@1 50.00 (35.20 to 64.80), 20 / 40"
    assert card.notes[-1].startswith("letters v1 ")
    assert (card.faults, card.warnings) == (0, ())


def test_a_run_at_work_is_counted_as_it_writes_and_keeps_its_lock(tmp_path: Path) -> None:
    like, root = make(tmp_path / "like", range(20), samples=3), tmp_path / "runs"
    root.mkdir()
    watching = Watcher(root)
    assert watching.look() == []
    with WrittenRun(root / "new", like) as run:
        run.generate(30)
        (card,) = watching.look()
        assert (card.state, card.stage, card.done, card.total) == ("running", "generate", 30, 120)
        run.generate(10, finish="length")
        run.generate(10, finish="refused", text="")
        (card,) = watching.look()
        assert (card.done, card.warnings) == (50, ("10 refused", "10 ended by length"))
        assert card.pace.endswith("left")
        run.generate(70)
        run.judge(15)
        (card,) = watching.look()
        assert (card.stage, card.done, card.total) == ("judge exact", 15, 120)
        run.judge(105)
        run.end()
    (card,) = watching.look()
    assert (card.state, card.done, card.result) == ("finished", 120, "em@1 50.00 (35.20 to 64.80)")


def test_a_run_that_nobody_writes_any_more_is_stopped(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", range(3))
    (folder / "summary.json").unlink()
    assert cards(tmp_path)["a"].state == "running"  # its files are new: it may be another machine's
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    assert cards(tmp_path)["a"].state == "stopped"


@pytest.mark.skipif(not folders.LOCKS.exists(), reason="this machine does not offer /proc/locks")
def test_a_lock_tells_that_a_silent_run_is_at_work(tmp_path: Path) -> None:
    like = make(tmp_path / "like", range(3))
    with WrittenRun(tmp_path / "runs" / "a", like) as run:
        run.generate(3)
        for path in (tmp_path / "runs" / "a").iterdir():
            os.utime(path, (1e9, 1e9))
        assert cards(tmp_path / "runs")["a"].state == "running"


def test_a_lock_of_another_file_with_the_same_inode_makes_no_finished_run_look_at_work(
    tmp_path: Path,
) -> None:
    folder = make(tmp_path / "a", range(3))
    (folder / ".lock").touch()
    status = (folder / ".lock").stat()
    there, elsewhere = {status.st_ino: {status.st_dev}}, {status.st_ino: {status.st_dev + 1}}
    assert folders.is_locked(folder, there, surely=True)
    assert not folders.is_locked(folder, elsewhere, surely=True)
    assert folders.is_locked(
        folder, elsewhere, surely=False
    )  # the device of a file is not always that of its lock
    assert not folders.is_locked(folder, {}, surely=False)


def test_counting_a_large_run_holds_up_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (make(tmp_path / "a", range(3)) / "summary.json").unlink()
    watching = Watcher(tmp_path)
    monkeypatch.setattr(watcher, "COUNT_S", 0.0)
    (card,) = watching.look()
    assert (card.stage, card.done, card.total, card.pace) == ("read so far: generate", 0, 40, "")
    monkeypatch.setattr(watcher, "COUNT_S", 1.0)
    (card,) = watching.look()
    assert (card.stage, card.done, card.total) == ("judge exact", 40, 40)


def test_cost_is_the_sum_that_the_summary_will_have_and_none_where_a_prompt_was_not_counted(
    tmp_path: Path,
) -> None:
    like = make(tmp_path / "like", range(20))
    backend = parse(json.loads((like / "run.json").read_text())["config"]).backend
    priced = backend.model_copy(update={"price_in": 2.0, "price_out": 8.0})
    tokens = {"prompt_tokens": 1000, "completion_tokens": 500}
    with WrittenRun(tmp_path / "a", like) as run:
        counts = LiveCounts(tmp_path / "a", priced)
        for _ in range(2):
            run.generate(10, **tokens)
            assert counts.advance()
        whole = pricing.total_cost([Completion(text="", **tokens)] * 20, priced)  # type: ignore[arg-type]
        assert dict(counts.cost) == pytest.approx(dict(whole.figures))
        run.generate(1)
        counts.advance()
        assert counts.uncounted == 1


def test_no_answer_found_and_damaged_rows_are_warnings(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", range(20))
    (folder / "summary.json").unlink()
    with (folder / "judgements.jsonl").open("a") as file:
        said = {"problem_id": "letters/0", "index": 7, "scorer": "exact", "status": "fault", "score": None}
        file.write(json.dumps({**said, "answer": " "}) + "\n{}\n")
    card = cards(tmp_path)["a"]
    assert card.faults == 1
    assert card.warnings == ("1 unparsed", "1 damaged rows")


def test_a_damaged_run_is_named_and_hides_no_other(tmp_path: Path) -> None:
    make(tmp_path / "good", range(3))
    edit(make(tmp_path / "bad", range(3)) / "run.json", lambda plain: plain.pop("config"))
    (make(tmp_path / "worse", range(3)) / "run.json").write_text("{")
    found = cards(tmp_path)
    assert {run: card.state for run, card in found.items()} == {
        "good": "finished", "bad": "damaged", "worse": "damaged"
    }  # fmt: skip
    assert found["worse"].warnings[0].startswith("run.json: cannot be read as JSON")


@pytest.mark.parametrize(("name", "ended"), [("run.json", True), ("run.json", False), ("summary.json", True)])
def test_no_damage_to_a_run_stops_the_list_or_what_is_sent_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ended: bool
) -> None:
    """Each value, down to the third level, in turn replaced by one of another kind."""
    monkeypatch.setattr(watcher, "SILENT_S", 0.0)
    path = make(tmp_path / "a", range(3), problems=3) / name
    good = json.loads(path.read_text())
    if not ended:
        path.with_name("summary.json").unlink()
    odd = (None, "x", -1, 2.5, [], {}, float("inf"), 10**400)
    places = list(leaves(good, 3))
    assert len(places) > 20
    for i, place in enumerate(places):
        damaged = json.loads(json.dumps(good))
        inner = damaged
        for key in place[:-1]:
            inner = inner[key]
        for value in odd[i % 4 :: 4]:
            inner[place[-1]] = value
            path.write_text(json.dumps(damaged))
            (card,) = Watcher(tmp_path).look()
            said = json.loads(events.to_json(asdict(card)))
            assert all(isinstance(said[key], str) for key in ("name", "task", "cost", "result", "pace")), (
                place
            )
            assert all(isinstance(said[key], int) for key in ("done", "total", "faults")), place
    path.write_text("[" * 100_000)
    assert Watcher(tmp_path).look()[0].state == "damaged"


def leaves(plain: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    if isinstance(plain, dict) and depth:
        for key, value in plain.items():
            yield (key,)
            yield from ((key, *inner) for inner in leaves(value, depth - 1))


def test_runs_behind_links_and_in_hidden_folders_are_not_followed(tmp_path: Path) -> None:
    run = make(tmp_path / "a", range(3))
    (tmp_path / "here" / ".hidden").mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path)
    assert list(folders.run_folders(tmp_path)) == [run]
    run.rename(tmp_path / "here" / ".hidden" / "a")
    assert list(folders.run_folders(tmp_path / "here")) == []
    assert Watcher(tmp_path / "here").folder("link/a") is None


@pytest.mark.parametrize("how", ["a link", "a pipe"])
def test_files_that_lead_out_of_the_folder_are_not_read(tmp_path: Path, how: str) -> None:
    secret = make(tmp_path / "secret", range(3))
    folder = make(tmp_path / "runs", range(3)) / "generations.jsonl"
    folder.unlink()
    if how == "a link":
        folder.symlink_to(secret / "generations.jsonl")
    else:
        os.mkfifo(folder)
    watching = Watcher(tmp_path / "runs")
    (card,) = watching.look()
    assert (card.state, watching.folder(".")) == ("damaged", None)
    assert card.warnings[0].startswith("generations.jsonl is no file, or a link that leads out")
    if how == "a link":
        assert Watcher(tmp_path).folder("runs") == tmp_path / "runs"  # it leads to what is watched


def test_another_run_in_the_same_folder_is_counted_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    folder, other = make(tmp_path / "runs" / "a", range(3)), make(tmp_path / "b", range(3), seed=1)
    (folder / "summary.json").unlink()
    watching = Watcher(tmp_path / "runs")
    assert watching.look()[0].done == 40
    rows = (folder / "generations.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "run.json").write_bytes((other / "run.json").read_bytes())
    (folder / "generations.jsonl").write_bytes(b"".join([b"-" * (len(rows[0]) - 1) + b"\n", *rows[1:]]))
    card = watching.look()[0]
    assert (card.about[-6:], card.warnings) == ("seed 1", ("1 damaged rows",))


def test_nothing_is_written_below_the_folder(tmp_path: Path) -> None:
    make(tmp_path / "a", range(3))
    (make(tmp_path / "b", range(3)) / "summary.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    cards(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_finished_runs_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "a", range(3))
    watching = Watcher(tmp_path)
    first = watching.look()
    monkeypatch.setattr(watcher, "read_json", lambda path: pytest.fail(f"{path} was read again"))
    assert watching.look() == first
