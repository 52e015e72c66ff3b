"""From a generator in a thread to the event loop: no more is made than a slow reader has room for."""

import asyncio
from collections.abc import Iterator

import pytest

from harness.serve import stream


@pytest.mark.parametrize(("size", "most"), [(0, 5), (stream.ROOM_BYTES // 3 + 1, 4)])
def test_the_generator_waits_for_a_slow_reader(monkeypatch: pytest.MonkeyPatch, size: int, most: int) -> None:
    monkeypatch.setattr(stream, "ROOM", 4)
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    async def read() -> list[int]:
        taken: list[int] = []
        async for some in stream.batches(make, None, lambda _: size):
            taken += some
            if len(taken) == len(some):
                await asyncio.sleep(0.3)
                assert len(made) <= len(taken) + most  # one waits in its maker
        return taken

    assert asyncio.run(read()) == list(range(20))
