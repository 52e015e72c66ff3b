"""Samples of an opened run: pages, filter, search, one in full, two runs; read by offset, whatever order files have."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.view import appended, index, pairs, samples
from harness.view.index import RunIndex
from harness.view.pairs import Pairs
from tests.support.command import rows, write_rows
from tests.support.parts.written_run import WrittenRun
from tests.support.recordings import edit_rows, make


@pytest.fixture
def opened() -> Iterator[RunIndex]:
    found = RunIndex()
    yield found
    found.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make(folder / "base", range(20), samples=3)
    make(folder / "tuned", range(10, 40), samples=3, wrong='He said: "Grüße"\n\ud83d')
    return folder


def names(page: samples.Plain) -> list[tuple[str, int]]:
    return [(row["problem"], row["sample"]) for row in page["rows"]]


def test_a_page_is_a_part_of_the_file_in_its_order_or_from_its_end(built: Path, opened: RunIndex) -> None:
    run = opened.open("base", built / "base")
    first = samples.page(opened, run, "", 0, newest=False)
    assert (len(first["rows"]), first["total"], first["ends"]) == (100, 120, {"correct": 60, "wrong": 60})
    assert names(first)[:4] == [("letters/0", 0), ("letters/0", 1), ("letters/0", 2), ("letters/1", 0)]
    assert names(samples.page(opened, run, "", 118, newest=False)) == [("letters/39", 1), ("letters/39", 2)]
    assert names(samples.page(opened, run, "", 0, newest=True))[0] == ("letters/39", 2)
    wrong = samples.page(opened, run, "wrong", 59, newest=False)
    assert (names(wrong), wrong["total"]) == ([("letters/39", 2)], 60)


def test_a_search_in_a_run_without_a_sample_finds_none(built: Path, opened: RunIndex, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((built / "base" / "run.json").read_bytes())
    run = opened.open("begun", tmp_path)
    assert samples.search(opened, run, "x", "", -1)["rows"] == []


def test_a_search_finds_ids_answers_and_completions_in_any_case(built: Path, opened: RunIndex) -> None:
    run = opened.open("tuned", built / "tuned")

    def hits(query: str, ended: str = "") -> int:
        return len(samples.search(opened, run, query, ended, -1)["rows"])

    assert [hits("LETTERS/39"), hits('said: "'), hits("GRÜSSE"), hits("grüße"), hits("x = 1")] == [
        3,
        30,
        0,
        30,
        30,
    ]
    assert [hits("x = 1", "correct"), hits("x = 1", "wrong"), hits("finish"), hits("no such")] == [
        30,
        0,
        0,
        0,
    ]


def test_a_search_that_takes_too_long_says_where_to_go_on(
    built: Path, opened: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "SEARCH_S", -1.0)
    run, found, after, steps = opened.open("base", built / "base"), [], -1, 0
    while after is not None:
        answer = samples.search(opened, run, "letters/1", "", after)
        found += names(answer)
        after, steps = answer["next"], steps + 1
    assert len(found) == len(set(found)) == 33
    assert steps == 121


def test_a_sample_in_full_has_prompt_reference_answer_and_every_verdict(
    built: Path, opened: RunIndex
) -> None:
    run = opened.open("tuned", built / "tuned")
    (row,) = samples.search(opened, run, "letters/39", "", -1)["rows"][:1]
    sample = samples.whole(opened, run, row["at"])
    assert sample is not None
    assert dict(sample["parts"]) == {"Answer": "x = 39", "Reference": "x = 39", "Prompt": "say 39"}
    assert (sample["ended"], sample["verdicts"]) == ("correct", ["exact: scored 1"])
    assert samples.whole(opened, run, row["at"] + 1) is None


def test_samples_come_while_a_run_writes_and_verdicts_after_them(
    built: Path, tmp_path: Path, opened: RunIndex
) -> None:
    with WrittenRun(tmp_path / "a", built / "base") as run:
        run.generate(7)
        page = samples.page(opened, opened.open("a", tmp_path / "a"), "", 0, newest=False)
        assert (page["total"], page["ends"]) == (7, {index.WAITING: 7})
        run.generate(3, finish="refused")
        run.judge(2)
        page = samples.page(opened, opened.open("a", tmp_path / "a"), "", 0, newest=True)
        assert page["ends"] == {index.WAITING: 5, "refused": 3, "correct": 2}
        assert names(page)[0] == ("letters/3", 0)


def test_a_file_put_in_another_order_is_read_again(built: Path, tmp_path: Path, opened: RunIndex) -> None:
    folder = make(tmp_path / "a", range(3), problems=6)
    opened.open("a", folder)
    edit_rows(folder / "generations.jsonl", lambda found: found[::-1])
    edit_rows(folder / "judgements.jsonl", lambda found: found[::2])
    run = opened.open("a", folder)
    page = samples.page(opened, run, "", 0, newest=False)
    assert [row["problem"] for row in page["rows"]] == [f"letters/{i}" for i in (5, 4, 3, 2, 1, 0)]
    assert [row["ended"] for row in page["rows"]][2:] == [index.WAITING, "correct", index.WAITING, "correct"]
    for row in page["rows"]:
        sample = samples.whole(opened, run, row["at"])
        assert sample is not None
        assert dict(sample["parts"])["Prompt"] == row["problem"].replace("letters/", "say ")


def test_another_run_in_the_same_folder_is_read_from_the_start(tmp_path: Path, opened: RunIndex) -> None:
    """Its rows may be as long and end alike, and its files have the same inodes."""
    folder = make(tmp_path / "a", range(3), problems=3, wrong="x = 9")
    other = make(tmp_path / "b", {2}, problems=3, wrong="x = 9")
    before = opened.open("a", folder)
    assert samples.page(opened, before, "", 0, newest=False)["ends"] == {"correct": 3}
    for name in ("run.json", "generations.jsonl", "judgements.jsonl"):
        text = (other / name).read_bytes()
        assert len(text) == (folder / name).stat().st_size
        (folder / name).write_bytes(text)
    after = opened.open("a", folder)
    page = samples.page(opened, after, "", 0, newest=False)
    assert page["ends"] == {"wrong": 2, "correct": 1}
    assert page["version"] > before.version + 1000  # a page that is open notices


def test_pages_far_behind_are_those_that_counting_would_find(
    built: Path, tmp_path: Path, opened: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the blocks are, and with samples that are there twice."""
    folder = make(tmp_path / "a", range(20), samples=3)
    edit_rows(folder / "generations.jsonl", lambda found: [*found[:50], *found[:9], *found[50:]])
    monkeypatch.setattr(appended, "BLOCK", 900)
    monkeypatch.setattr(samples, "PAGE", 7)
    run = opened.open("a", folder, 60)
    assert len(run.marks) > 20
    for ended in ("", "wrong"):
        every = [
            row[:2]
            for row in opened.select(f"SELECT problem, sample, ended FROM samples_{run.number} ORDER BY at")
            if not ended or row[2] == ended
        ]
        for start in (0, 1, 47, 59, len(every) - 1, len(every)):
            page = samples.page(opened, run, ended, start, newest=False)
            assert (names(page), page["total"]) == (every[start : start + 7], len(every))
            newest = samples.page(opened, run, ended, start, newest=True)
            assert names(newest) == every[::-1][start : start + 7]


def test_pairs_are_found_piece_by_piece_and_anew_when_a_run_has_changed(
    built: Path, tmp_path: Path, opened: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "STEP", 50)
    monkeypatch.setattr(pairs, "FIND_S", -1.0)
    found = Pairs(opened)
    with WrittenRun(tmp_path / "a", built / "base") as run:
        run.generate(120)
        right = opened.open("tuned", built / "tuned")
        pages = [found.page(opened.open("a", tmp_path / "a"), right, "neither", 0) for _ in range(3)]
        assert [page["counts"]["all"] for page in pages] == [50, 100, 120]
        assert [page["share"] == 1.0 for page in pages] == [False, False, True]
        run.judge(120)
        left = opened.open("a", tmp_path / "a")
        found._tables[left.number, right.number].until = 0.0
        monkeypatch.setattr(pairs, "FIND_S", 60.0)
        assert found.page(left, right, "left", 0)["counts"]["left"] == 30
        assert len(found._tables) == 1


def test_two_runs_stand_side_by_side_by_problem_and_sample(built: Path, opened: RunIndex) -> None:
    left, right = (opened.open(name, built / name) for name in ("base", "tuned"))
    both = Pairs(opened).page(left, right, "left", 0)
    assert both["counts"] == {"all": 120, "differ": 90, "left": 30, "right": 60, "neither": 0}
    assert names(both)[0] == ("letters/0", 0)
    assert {(row["ended"], row["other_ended"]) for row in both["rows"]} == {("correct", "wrong")}
    other = samples.whole(opened, right, both["rows"][0]["other_at"])
    assert other is not None
    assert other["problem"] == "letters/0"


def test_who_opens_many_runs_loses_the_oldest_and_gets_it_again(built: Path, opened: RunIndex) -> None:
    first = opened.open("0", built / "base")
    for i in range(1, index.MOST_RUNS + 1):
        opened.open(str(i), built / "base")
    tables = opened.select("SELECT name FROM sqlite_master WHERE name LIKE 'samples_%'")
    assert (len(tables), (f"samples_{first.number}",) in tables) == (index.MOST_RUNS, False)
    assert samples.page(opened, opened.open("0", built / "base"), "", 0, newest=False)["total"] == 120


def test_a_file_that_cannot_be_read_for_once_costs_no_sample(
    built: Path, opened: RunIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(run: index.IndexedRun) -> bool:
        raise OSError("for once")

    with monkeypatch.context() as patch:
        patch.setattr(opened, "_judgements", fails)
        with pytest.raises(OSError, match="for once"):
            opened.open("base", built / "base")
    page = samples.page(opened, opened.open("base", built / "base"), "", 0, newest=False)
    assert (page["ends"], page["share"]) == ({"correct": 60, "wrong": 60}, 1.0)


def test_rows_that_are_none_and_odd_values_stop_nothing(
    built: Path, tmp_path: Path, opened: RunIndex
) -> None:
    folder = make(tmp_path / "a", range(3), problems=3)
    good = rows(folder / "generations.jsonl")
    bad = [{}, [], {"problem_id": 3}, {**good[0], "index": -1}, {**good[0], "problem_id": "\ud83d"}, 7]
    write_rows(folder / "generations.jsonl", [*bad, *good])
    judged = rows(folder / "judgements.jsonl")
    judged[0]["score"]["value"] = float("nan")
    judged[1]["score"]["value"] = 10**400
    judged[2]["status"] = "\ud83d"
    odd = [{**judged[1], "score": {}}, {**judged[1], "index": [1]}, {**judged[1], "score": 1}]
    write_rows(folder / "judgements.jsonl", [*odd, *judged])
    page = samples.page(opened, opened.open("a", folder), "", 0, newest=False)
    assert [row["value"] for row in page["rows"]] == [None, None, 1.0]
    assert page["rows"][2]["ended"] == "?"
    assert samples.whole(opened, opened.open("a", folder), page["rows"][0]["at"])


def test_to_drop_a_run_needs_no_memory(opened: RunIndex) -> None:
    """Measured: 84 MB, and 161 at most where SQLite overwrites what it deletes, as many systems build it."""
    assert opened.select("PRAGMA secure_delete") == [(0,)]


def test_memory_does_not_grow_with_the_texts_of_a_run(tmp_path: Path, opened: RunIndex) -> None:
    folder = make(tmp_path / "a", range(3), problems=3)
    line = rows(folder / "generations.jsonl")[0]
    line["completion"]["text"] = "x" * 100_000
    write_rows(folder / "generations.jsonl", [{**line, "problem_id": f"letters/{i}"} for i in range(400)])
    tracemalloc.start()
    run = opened.open("a", folder, seconds=60)
    page = samples.page(opened, run, "", 0, newest=False)
    assert samples.search(opened, run, "no such text", "", -1)["rows"] == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (run.whole, page["total"]) == (True, 400)
    assert peak < 8_000_000  # of 40 MB
