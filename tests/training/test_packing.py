"""Packing: no token lost, none learnt twice, no window with two tasks; shares of padding as worked out by hand."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.training.config import PackingConfig
from harness.training.data import packing
from harness.training.data.packing import PackingReport, TokenRow


def rows(lengths: list[int], task: int = 0) -> list[TokenRow]:
    """Rows whose tokens are all different, so that each can be followed; the first token is not learnt."""
    made, at = [], task * 1_000_000
    for length in lengths:
        ids = np.arange(at, at + length, dtype=np.int32)
        made.append(TokenRow(ids, np.arange(length) > 0, task))
        at += length
    return made


def learnt(windows: list[packing.Window]) -> Counter[int]:
    """Each token and how often it is predicted: learnt, and not the first of its line."""
    found: Counter[int] = Counter()
    for window in windows:
        ids = np.concatenate([row.ids for row in window])
        flags = np.concatenate([row.learnt for row in window])
        found.update(ids[1:][flags[1:]].tolist())
    return found


LENGTHS = st.lists(st.integers(2, 30), min_size=1, max_size=25)
MODES = st.sampled_from(["pad", "dynamic", "pack", "concat"])


@given(LENGTHS, MODES, st.integers(2, 40))
def test_no_token_is_lost_and_none_is_learnt_twice(lengths: list[int], mode: str, room: int) -> None:
    config = PackingConfig.model_validate({"mode": mode, "length": room})
    report = PackingReport("t")
    made = packing.build_windows(given_rows := rows(lengths), config, report)
    kept = given_rows if mode == "concat" else [row for row in given_rows if len(row) <= room]
    assert learnt(made) == Counter(i for row in kept for i in row.ids[1:].tolist())
    assert report.rows == len(lengths)
    assert report.dropped == len(given_rows) - len(kept)
    assert report.windows == len(made)
    assert max((packing.window_width(window) for window in made), default=0) <= room


@given(LENGTHS, st.integers(2, 40))
def test_packed_samples_stay_whole_and_in_order(lengths: list[int], room: int) -> None:
    config = PackingConfig(mode="pack", length=room)
    made = packing.build_windows(rows(lengths), config, PackingReport("t"))
    assert [len(row) for window in made for row in window] == [n for n in lengths if n <= room]
    for window, following in pairwise(made):
        assert (
            packing.window_width(window) + len(following[0]) > room
        )  # next-fit: it closed because this did not fit


@given(LENGTHS, LENGTHS, st.sampled_from(["shuffled", "file"]), st.integers(1, 5), st.integers(0, 9))
def test_every_window_is_in_one_batch_and_holds_one_task(
    first: list[int], second: list[int], order: str, size: int, seed: int
) -> None:
    config = PackingConfig.model_validate({"mode": "pack", "length": 30, "batch": size, "order": order})
    tasks = [
        packing.build_windows(rows(given_, n), config, PackingReport("t"))
        for n, given_ in enumerate((first, second))
    ]
    made = packing.make_batches(packing.interleave(tasks), config, seed)
    assert Counter(id(window) for batch in made for window in batch) == Counter(
        id(window) for windows in tasks for window in windows
    )
    assert all(len({row.task for row in window}) == 1 for batch in made for window in batch)
    assert all(len(batch) == size for batch in made[:-1])


@given(LENGTHS, st.integers(30, 90), st.integers(1, 20))
def test_batches_by_tokens_hold_every_row_once_and_fit(lengths: list[int], budget: int, pool: int) -> None:
    config = PackingConfig(length=30, batch_tokens=budget, pool=pool)
    windows = packing.build_windows(rows(lengths), config, PackingReport("t"))
    made = packing.make_batches(windows, config, 3)
    assert learnt([window for batch in made for window in batch]) == learnt(windows)
    assert all(len(batch) * max(map(packing.window_width, batch)) <= budget for batch in made)


def test_mixing_spreads_a_small_task_evenly_and_keeps_each_order() -> None:
    config = PackingConfig(mode="dynamic")
    tasks = [
        packing.build_windows(rows([3] * n, task), config, PackingReport("t"))
        for task, n in enumerate((6, 2))
    ]
    assert [window[0].task for window in packing.interleave(tasks)] == [0, 0, 1, 0, 0, 0, 1, 0]


def test_what_is_too_long_is_dropped_cut_or_refused_and_counted() -> None:
    given_ = rows([4, 12])

    def made(over_long: str) -> tuple[list[packing.Window], PackingReport]:
        report = PackingReport("t")
        config = PackingConfig.model_validate({"length": 5, "over_long": over_long})
        return packing.build_windows(given_, config, report), report

    windows, report = made("drop")
    assert (len(windows), report.dropped, report.truncated) == (1, 1, 0)
    windows, report = made("truncate_left")
    assert windows[1][0].ids.tolist() == [11, 12, 13, 14, 15]
    assert (report.dropped, report.truncated) == (0, 1)
    windows, _ = made("truncate_right")
    assert windows[1][0].ids.tolist() == [4, 5, 6, 7, 8]
    with pytest.raises(DataError, match=r"a row of 12 tokens is longer than packing.length = 5"):
        made("error")


def test_rows_with_nothing_to_learn_are_left_out_and_counted() -> None:
    report = PackingReport("t")
    row = TokenRow(np.arange(4, dtype=np.int32), np.array([True, False, False, False]))
    assert packing.build_windows([row], PackingConfig(), report) == []
    assert report.nothing_learnt == 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("pad", 1 - 18 / 40),  # four lines of ten
        ("dynamic", 1 - 18 / (2 * 8 + 2 * 4)),  # widths 2 and 8, then 4 and 4
        ("pack", 1 - 18 / 20),  # 2 + 8, then 4 + 4
    ],
)
def test_the_share_of_padding(mode: str, expected: float) -> None:
    config = PackingConfig.model_validate({"mode": mode, "length": 10, "batch": 2, "order": "file"})
    made = packing.make_batches(
        packing.build_windows(rows([2, 8, 4, 4]), config, PackingReport("t")), config, 0
    )
    assert packing.padding_share(made, config) == pytest.approx(expected)


def test_a_task_s_last_window_is_flushed() -> None:
    config = PackingConfig(mode="pack", length=10)
    made = packing.build_windows(rows([6, 6, 3]), config, PackingReport("t"))
    assert [[len(row) for row in window] for window in made] == [[6], [6, 3]]


@pytest.mark.parametrize(
    ("lengths", "hidden", "apart"),
    [
        ([36] * 28, 192, True),  # short samples: attention over 1,008 tokens costs a small model much
        ([40] * 25, 4096, True),  # and a large one a little
        ([36] * 28, 4096, False),  # which is less than padding to 40 tokens does
        ([8] * 20 + [800], 4096, False),  # one long sample would have all others padded
        ([500, 508], 192, True),
        ([1000], 192, False),
    ],
)
def test_samples_are_laid_apart_where_that_is_less_work(lengths: list[int], hidden: int, apart: bool) -> None:
    (window,) = packing.build_windows(rows(lengths), PackingConfig(mode="pack"), PackingReport("t"))
    assert packing.apart_is_cheaper([window], hidden, 8) == apart
