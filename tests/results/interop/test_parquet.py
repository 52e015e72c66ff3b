"""Memory does not follow the number of samples: keys, rows, recordings and sums, each measured at two sizes.

What is measured is what Python's allocator hands out (tracemalloc), so no other process and no cache of the system
has a say. Bounds are several times what was seen, and a list of the rows would break each of them.
"""

import gzip
import json
import os
import random
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends import replay
from harness.config.backend import BackendConfig
from harness.config.run import JudgeConfig, RunConfig
from harness.errors import DataError, StoreFault
from harness.runs import run
from harness.runs.store import jsonl, reader
from harness.runs.store.jsonl import JsonlFile
from harness.schema import Completion, Generation, Judgement, Prompt, Request, Sampling, Score
from harness.schema.sample_index import SampleIndex

PROMPT = Prompt(text="def f():\n")
TEXT = "    return sorted(value for value in values if value > 3)\n" * 4
no_sync = patch.object(os, "fsync", lambda handle: None)


def peak(do: Callable[[], object]) -> int:
    """The most bytes that were allocated at a time while `do` ran, beyond those before.

    The least of three times: other threads of the process (of a server that a test before this one talked to) are
    counted too, and what they do is not there each time.
    """
    do()  # what is made once and kept (interned names, compiled patterns) is no growth
    seen = []
    for _ in range(3):
        tracemalloc.start()
        try:
            kept = do()
            del kept
            seen.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return min(seen)


def generations(problems: int, samples: int) -> Iterator[Generation]:
    for problem in range(problems):
        for index in range(samples):
            made = Completion(text=f"{TEXT}{index}")
            yield Generation(problem_id=f"t/{problem}", index=index, prompt_sha=PROMPT.sha, completion=made)


def write(path: Path, rows: Iterator[Generation]) -> JsonlFile[Generation]:
    file = JsonlFile(path, Generation)
    for row in rows:
        file.append(row)
    file.close()
    return file


# ---------------------------------------------------------------- keys


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 70), st.sampled_from(("", "s"))), max_size=60)
)
def test_keys_are_the_set_of_what_was_added(added: list[tuple[str, int, str]]) -> None:
    keys, there = SampleIndex(), set[tuple[str, int, str]]()
    for number, key in enumerate(added):
        assert keys.has(*key) == (key in there)
        if number % 3 == 2 and key in there:
            keys.remove(*key)
            there.remove(key)
        else:
            assert keys.add(*key) == (key not in there)
            there.add(key)
    assert set(keys) == there
    assert len(list(keys)) == len(keys) == len(there)
    for name, scorer in (("a", ""), ("b", "s"), ("z", "")):
        assert keys.count(name, scorer) == sum(key[0] == name and key[2] == scorer for key in there)


def test_a_million_keys_take_less_than_a_megabyte() -> None:
    def fill() -> SampleIndex:
        keys = SampleIndex()
        for problem in range(1000):
            name = f"p/{problem}"
            for index in range(100):
                keys.add(name, 10 * index, "s")
        return keys

    assert peak(fill) < 600_000  # a set of tuples takes 20 MB


# ---------------------------------------------------------------- order


def shuffled(path: Path, seed: int, *, scorers: tuple[str, ...] = ("exact", "bleu")) -> list[bytes]:
    rows = [
        Judgement(problem_id=f"t/{p}", index=i, scorer=s, answer="", status="scored", score=Score(value=0.5))
        for p in range(12)
        for i in range(3)
        for s in scorers
    ]
    right = [json.dumps(row.model_dump(mode="json"), separators=(",", ":")).encode() + b"\n" for row in rows]
    random.Random(seed).shuffle(rows)
    log = JsonlFile(path, Judgement)
    for row in rows:
        log.append(row)
    log.close()
    return right


@no_sync
@pytest.mark.parametrize("merged", [True, False])
def test_any_order_is_put_right_whether_stretches_are_merged_or_places_kept(
    tmp_path: Path, merged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "MAX_SORTED_PIECES", 10_000 if merged else 0)
    for seed in range(5):
        path = tmp_path / f"{seed}.jsonl"
        right = shuffled(path, seed)
        JsonlFile(path, Judgement).sort([f"t/{p}" for p in range(12)], ["exact", "bleu"])
        assert path.read_bytes() == b"".join(right)


def test_a_row_of_another_run_is_named_when_the_file_is_put_in_order(tmp_path: Path) -> None:
    write(tmp_path / "g.jsonl", generations(2, 1))
    with pytest.raises(StoreFault, match=r"g\.jsonl:2: damaged row \(t/1/0 is not part of this run\)"):
        JsonlFile(tmp_path / "g.jsonl", Generation).sort(["t/0"])


def test_an_index_beyond_reason_is_a_damaged_row_not_a_gigabyte(tmp_path: Path) -> None:
    row = next(generations(1, 1)).model_dump(mode="json") | {"index": 10**12}
    (tmp_path / "g.jsonl").write_text(json.dumps(row, separators=(",", ":")) + "\n")
    with pytest.raises(StoreFault, match=r"g\.jsonl:1: damaged row \(index 1000000000000: expected 0 to"):
        JsonlFile(tmp_path / "g.jsonl", Generation)


@no_sync
def test_opening_reading_and_ordering_a_file_ten_times_as_long_takes_no_more_memory(tmp_path: Path) -> None:
    def whole(path: Path) -> Callable[[], object]:
        def do() -> object:
            log = JsonlFile(path, Generation)
            assert sum(1 for _ in log.values()) == len(log.keys)
            log.sort([f"t/{p}" for p in range(10)])
            return log

        return do

    write(tmp_path / "small.jsonl", generations(10, 30))
    write(tmp_path / "large.jsonl", generations(10, 300))
    grown = peak(whole(tmp_path / "large.jsonl")) - peak(whole(tmp_path / "small.jsonl"))
    assert (tmp_path / "large.jsonl").stat().st_size > 1_000_000
    assert grown < 30_000


# ---------------------------------------------------------------- recordings


def recorded(path: Path, problems: int, samples: int, form: str) -> Path:
    """Ten samples of each problem after another, as tools write them, in a layout that `form` names."""
    rows: Iterator[object]
    if form == "lists":
        text = json.dumps([[f"{TEXT}{i}" for i in range(samples)] for _ in range(problems)])
    elif form == "by-id":
        text = json.dumps(
            {f"t/{p}": [f"{TEXT}{i}" for i in range(samples)] for p in range(problems)}, indent=0
        )
    elif form == "rows":
        text = json.dumps(
            [{"task_id": f"t/{p}", "text": f"{TEXT}{i}"} for i in range(samples) for p in range(problems)]
        )
    elif form == "lm-eval":
        rows = (
            {"doc": {"task_id": f"t/{p}"}, "resps": [[f"{TEXT}{i}" for i in range(samples)]]}
            for p in range(problems)
        )
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        rows = ({"task_id": f"t/{p}", "text": f"{TEXT}{i}"} for i in range(samples) for p in range(problems))
        text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 1) if path.suffix == ".gz" else text.encode())
    return path


def replayed(path: Path, problems: int) -> Callable[[], object]:
    def do() -> object:
        backend = replay.load(
            BackendConfig(kind="replay", path=str(path)), [f"t/{p}" for p in range(problems)]
        )
        asked = [Request(name, PROMPT, tuple(range(n))) for name, n in backend.counts.items()]
        seen = sum(len(made.completion.text) > 200 for made in backend.generate(asked, Sampling()))
        assert seen == sum(backend.counts.values())
        backend.close()
        return backend

    return do


@pytest.mark.parametrize("form", ["lines", "lines.gz", "lists", "lists.gz", "by-id", "rows", "lm-eval"])
def test_a_recording_ten_times_as_long_takes_eight_bytes_a_sample(tmp_path: Path, form: str) -> None:
    kind, _, packed = form.partition(".")
    suffix = f".json.{packed}" if packed else ".json"
    problems, few, many = 50, 10, 100
    small = recorded(tmp_path / f"small{suffix}", problems, few, kind)
    large = recorded(tmp_path / f"large{suffix}", problems, many, kind)
    grown = peak(replayed(large, problems)) - peak(replayed(small, problems))
    # Of lists and lm-eval's lines one problem is in memory at a time, and the text of the list around it.
    around = 4 * many * len(TEXT) + 400_000 if kind in ("lists", "by-id", "lm-eval") else 0
    assert grown < 50_000 + around
    assert problems * many * len(TEXT) > 1_000_000


def test_a_recording_that_changes_between_two_readings_is_an_error_not_another_answer(tmp_path: Path) -> None:
    path = recorded(tmp_path / "c.jsonl", 3, 2, "lines")
    backend = replay.load(BackendConfig(kind="replay", path=str(path)), ["t/0", "t/1", "t/2"])
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    with pytest.raises(DataError, match=r"c\.jsonl was changed while it was read"):
        list(backend.generate([Request("t/0", PROMPT, (0, 1))], Sampling()))


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_own_rows_in_any_order_come_back_by_their_index(names: list[str], chance: random.Random) -> None:
    counts = {name: names.count(name) for name in names}
    rows = [
        {"problem_id": n, "index": i, "prompt_sha": PROMPT.sha, "completion": {"text": f"{n}{i}"}}
        for n, count in counts.items()
        for i in range(count)
    ]
    chance.shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        backend = replay.load(BackendConfig(kind="replay", path=str(path)), list(counts))
        for name, count in counts.items():
            found = backend.generate([Request(name, PROMPT, tuple(range(count)))], Sampling())
            assert [made.completion.text for made in found] == [f"{name}{i}" for i in range(count)]


# ---------------------------------------------------------------- a whole run


def recorded_run(folder: Path, problems: int, samples: int) -> RunConfig:
    rows = (
        {"task_id": f"conala/test/{p}", "text": f"{TEXT}{i}"} for i in range(samples) for p in range(problems)
    )
    said = folder / f"{samples}.jsonl"
    said.write_text("".join(json.dumps(row) + "\n" for row in rows))
    backend = BackendConfig(kind="replay", path=str(said))
    judge = JudgeConfig(workers=1)  # further processes would come or not, as the clock has it
    return RunConfig(task="conala", data="mini", limit=problems, backend=backend, judge=judge)


@no_sync
def test_a_whole_run_of_ten_times_as_many_samples_takes_no_more_memory(tmp_path: Path) -> None:
    def judge(samples: int) -> Callable[[], object]:
        config, turns = recorded_run(tmp_path, 8, samples), count()
        return lambda: run.run(config, tmp_path / f"{samples}-{next(turns)}")

    grown = peak(judge(120)) - peak(judge(12))
    assert (tmp_path / "120-1" / "judgements.jsonl").stat().st_size > 500_000
    assert (
        grown < 600_000
    )  # what is under way at a time, and more metrics; the rows themselves would be two megabytes


@no_sync
def test_a_run_read_back_takes_eight_bytes_a_value(tmp_path: Path) -> None:
    def read(samples: int) -> Callable[[], object]:
        folder, _ = run.run(recorded_run(tmp_path, 8, samples), tmp_path / str(samples))
        return lambda: reader.read(folder)

    read(12)
    row = json.loads((tmp_path / "12" / "judgements.jsonl").read_text().splitlines()[1])
    values = 3 + 1 + len(row["score"]["stats"])  # exact match has three
    assert row["scorer"] == "codebleu"
    grown = peak(read(120)) - peak(read(12))  # the second call finds its run made
    assert grown < 1.5 * 8 * values * 8 * (120 - 12)
