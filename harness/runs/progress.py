"""Show the progress of a run: a live line on a terminal, else a line now and then; rate, time left, cost so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import TextIO

from harness.runs.plan import Progress

LINE_INTERVAL_S = 5.0  # between plain lines


@dataclass
class StageRate:
    """One stage of one run: when it began, how much was done before that, and how much is done now."""

    began: float
    before: int
    done: int
    total: int

    def update(self, done: int, total: int) -> bool:
        """False where this is another run: the next cell of a study has another total, or begins with less."""
        same = done >= self.done and total == self.total
        self.done = done
        return same

    def describe(self, tokens: int, price: float) -> str:
        """ "3.4/s, 512 tokens/s, 0:01:25 left, cost 0.1234", as far as it is known."""
        seconds = max(monotonic() - self.began, 1e-9)
        rate = (self.done - self.before) / seconds
        parts = [f"{rate:.1f}/s"] if rate else []
        if tokens:
            parts.append(f"{tokens / seconds:,.0f} tokens/s")
        if rate:
            parts.append(f"{timedelta(seconds=round((self.total - self.done) / rate))} left")
        if price:
            parts.append(f"cost {price:.4f}")
        return ", ".join(parts)


class StageRates:
    """The rate of each stage."""

    def __init__(self) -> None:
        self._by_stage: dict[str, StageRate] = {}

    def update(self, stage: str, done: int, total: int) -> StageRate:
        rate = self._by_stage.get(stage)
        if rate is None or not rate.update(done, total):
            rate = self._by_stage[stage] = StageRate(monotonic(), done, done, total)
        return rate


@contextmanager
def show(stream: TextIO) -> Iterator[Progress]:
    """A Progress callback that writes to `stream`; the live line is removed when the block ends."""
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
        TextColumn("{task.fields[rate]}"),
    )
    with Bar(*columns, console=Console(file=stream), transient=True) as bar:
        rows: dict[str, TaskID] = {}
        rates = StageRates()

        def step(stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0) -> None:
            if stage not in rows:
                rows[stage] = bar.add_task(stage, total=total, rate="")
            rate = rates.update(stage, done, total).describe(tokens, price)
            bar.update(rows[stage], completed=done, total=total, rate=rate)

        yield step


def _plain(stream: TextIO) -> Progress:
    rates = StageRates()
    last = [monotonic()]

    def step(stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0) -> None:
        rate = rates.update(stage, done, total)
        if monotonic() - last[0] >= LINE_INTERVAL_S and done > rate.before:
            last[0] = monotonic()
            stream.write(f"{stage} {done}/{total}, {rate.describe(tokens, price)}\n")
            stream.flush()

    return step
