"""Show how far a run is: a live line with rate and time left on a terminal, else a line now and then."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TextIO

from harness.planning import Progress

EVERY = 10.0  # seconds between plain lines


@contextmanager
def shown(stream: TextIO) -> Iterator[Progress]:
    """A Progress callback that writes to `stream`; the live line is gone when the block ends."""
    if not stream.isatty():
        yield _plain(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(file=stream), transient=True) as bar:
        stages: dict[str, tuple[int, int, float]] = {}

        def step(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = (int(bar.add_task(stage, total=total, rate="")), done, monotonic())
            row, before, began = stages[stage]
            if done < before or total != bar.tasks[row].total:  # the next cell of a study
                before, began = done, monotonic()
                stages[stage] = (row, before, began)
                bar.update(row, total=total)  # type: ignore[arg-type]
            rate = (done - before) / max(monotonic() - began, 1e-9)
            bar.update(row, completed=done, rate=f"{rate:.1f}/s")  # type: ignore[arg-type]

        yield step


def _plain(stream: TextIO) -> Progress:
    began: dict[str, tuple[float, int]] = {}
    last = [monotonic()]

    def step(stage: str, done: int, total: int) -> None:
        now = monotonic()
        start, before = began.setdefault(stage, (now, done))
        if done < before:  # the next cell of a study
            start, before = began[stage] = (now, done)
        if now - last[0] >= EVERY and done > before:
            last[0] = now
            rate = (done - before) / max(now - start, 1e-9)
            stream.write(f"{stage} {done}/{total}, {rate:.1f}/s, {(total - done) / rate:.0f} s left\n")
            stream.flush()

    return step
