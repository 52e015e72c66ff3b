"""Workers that sleep or do nothing, for engines.py: a module of its own, because workers import it by name."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sleeping:
    """A spec and its own task: every item takes its own number of seconds."""

    identity: Mapping[str, str] = None  # type: ignore[assignment]

    def setup(self, slot: int, previous: object) -> "Sleeping":
        return Sleeping({"asleep": "yes"})

    def run(
        self, method: str, common: object, items: Sequence[tuple[int, float]]
    ) -> Iterator[tuple[int, None]]:
        for number, seconds in items:
            if seconds:
                time.sleep(seconds)
            yield number, None

    def close(self) -> None:
        pass
