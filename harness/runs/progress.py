"""Show how far a run is: a live line on a terminal, else a line now and then; with rate, time left and cost so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TextIO

from harness.runs.plan import Progress

EVERY = 10.0  # seconds between plain lines


@dataclass
class Pace:
    """One stage of one run: when it began, with how much already done, and how much is done now."""

    began: float
    before: int
    done: int
    total: int

    def step(self, done: int, total: int) -> bool:
        """Whether this is still the same run; the next cell of a study has another total or begins with less."""
        same = done >= self.done and total == self.total
        self.done = done
        return same

    def told(self, tokens: int, price: float) -> str:
        """ "3.4/s, 512 tokens/s, 0:01:25 left, cost 0.1234", as far as it is known."""
        seconds = max(monotonic() - self.began, 1e-9)
        rate = (self.done - self.before) / seconds
        parts = [f"{rate:.1f}/s"]
        if tokens:
            parts.append(f"{tokens / seconds:,.0f} tokens/s")
        if rate:
            parts.append(f"{timedelta(seconds=round((self.total - self.done) / rate))} left")
        if price:
            parts.append(f"cost {price:.4f}")
        return ", ".join(parts)


class Paces:
    """The pace of each stage."""

    def __init__(self) -> None:
        self._of: dict[str, Pace] = {}

    def step(self, stage: str, done: int, total: int) -> Pace:
        pace = self._of.get(stage)
        if pace is None or not pace.step(done, total):
            pace = self._of[stage] = Pace(monotonic(), done, done, total)
        return pace


@contextmanager
def shown(stream: TextIO) -> Iterator[Progress]:
    """A Progress callback that writes to `stream`; the live line is gone when the block ends."""
    if not stream.isatty():
        yield _plain(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Bar(*columns, console=Console(file=stream), transient=True) as bar:
        rows: dict[str, TaskID] = {}
        paces = Paces()

        def step(stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0) -> None:
            if stage not in rows:
                rows[stage] = bar.add_task(stage, total=total, told="")
            told = paces.step(stage, done, total).told(tokens, price)
            bar.update(rows[stage], completed=done, total=total, told=told)

        yield step


def _plain(stream: TextIO) -> Progress:
    paces = Paces()
    last = [monotonic()]

    def step(stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0) -> None:
        pace = paces.step(stage, done, total)
        if monotonic() - last[0] >= EVERY and done > pace.before:
            last[0] = monotonic()
            stream.write(f"{stage} {done}/{total}, {pace.told(tokens, price)}\n")
            stream.flush()

    return step
