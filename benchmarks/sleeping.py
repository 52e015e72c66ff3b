"""Workers that sleep or do nothing, for engines.py: a module of its own, because workers import it by name."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sleeping:
    """A post, and its own hand: every item takes its own number of seconds."""

    identity: Mapping[str, str] = None  # type: ignore[assignment]

    def take_up(self, slot: int, before: object) -> "Sleeping":
        return Sleeping({"asleep": "yes"})

    def do(self, what: str, common: object, items: Sequence[tuple[int, float]]) -> Iterator[tuple[int, None]]:
        for number, seconds in items:
            if seconds:
                time.sleep(seconds)
            yield number, None

    def close(self) -> None:
        pass
