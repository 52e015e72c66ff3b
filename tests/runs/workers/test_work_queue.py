"""The queue that workers draw from: every item once and in order, in chunks that follow the work and fit the memory."""

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runs.workers import work_queue
from harness.runs.workers.work_queue import ChunkSizer, GivenUp, WorkQueue


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_item_has_one_result_in_order_whatever_workers_do(data: st.DataObject) -> None:
    chance = random.Random(data.draw(st.integers(0, 2**32)))
    count, workers = data.draw(st.integers(0, 60)), data.draw(st.integers(1, 4))
    ordered, known = data.draw(st.booleans()), data.draw(st.booleans())
    items: Any = range(count) if known else iter(range(count))
    sizer = ChunkSizer(
        target_seconds=None if data.draw(st.booleans()) else 0.5, minimum=data.draw(st.integers(1, 5))
    )
    queue = WorkQueue(items, workers, sizer, ordered)
    out: deque[list[int]] = deque()
    given: list[tuple[int, Any]] = []
    failures: dict[int, int] = {}
    queue.draw(1)
    while not queue.finished:
        if chunk := queue.next_chunk():
            assert not {*chunk} & {number for other in out for number in other}
            out.append(chunk)
        if out and (not chunk or chance.random() < 0.6):
            taken = out.popleft()
            done = chance.randint(0, len(taken))
            for number in chance.sample(taken, done):
                taken.remove(number)
                queue.complete(number, number * 2, 1)
            if taken and chance.random() < 0.3:
                for number in taken:
                    failures[number] = failures.get(number, 0) + 1
                queue.retry(taken, "gone")
            elif taken:
                queue.requeue(taken)
            sizer.record(done, chance.random())
        given += queue.pop_ready()
    assert sorted(number for number, _ in given) == list(range(count))
    if ordered:
        assert given == sorted(given, key=lambda each: each[0])
    for number, result in given:
        assert result == (GivenUp("gone") if failures.get(number) == work_queue.TRIES else 2 * number)
    assert all(times <= work_queue.TRIES for times in failures.values())


def test_items_are_drawn_only_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_ITEMS", 10)
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1_000_000):
            drawn += 1
            yield number

    queue = WorkQueue(items(), 2, ChunkSizer(size=1000))
    first = queue.next_chunk()
    assert queue.next_chunk() == []
    assert (len(first), drawn) == (20, 20)
    for number in first[1:]:
        queue.complete(number, None, 1)
    assert list(queue.pop_ready()) == []
    assert queue.next_chunk() == []  # the first result is missing: nothing is ready, so nothing more is drawn
    queue.complete(first[0], None, 1)
    assert len(list(queue.pop_ready())) == 20
    assert len(queue.next_chunk()) == 20


def test_large_items_are_limited_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "MAX_BYTES", 50_000)
    monkeypatch.setattr(work_queue, "MAX_CHUNK_BYTES", 20_000)
    queue = WorkQueue(iter([b"x" * 10_000] * 100), 2, ChunkSizer(size=1000))
    assert [len(queue.next_chunk()) for _ in range(4)] == [2, 2, 1, 0]


def test_chunks_of_a_known_number_of_items_halve_towards_the_end() -> None:
    queue = WorkQueue(list(range(100)), 2, ChunkSizer(target_seconds=None, minimum=3))
    sizes = []
    while chunk := queue.next_chunk():
        sizes.append(len(chunk))
    assert sizes == [25, 19, 14, 11, 8, 6, 5, 3, 3, 3, 3]
    assert sum(sizes) == 100


def test_chunks_follow_the_time_that_items_take() -> None:
    sizer = ChunkSizer()
    for _ in range(20):
        sizer.record(int(sizer.size), sizer.size * 0.004)
    assert sizer.size == pytest.approx(250, rel=0.01)
    for _ in range(9):
        sizer.record(int(sizer.size), 0.0)
    assert sizer.size == work_queue.MAX_CHUNK
    for _ in range(40):
        sizer.record(int(sizer.size), sizer.size * 0.1)
    assert sizer.size == pytest.approx(10, rel=0.2)
