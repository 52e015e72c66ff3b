"""Progress in a notebook: one bar a stage that is updated in place, in plain HTML. No widgets are needed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from time import monotonic

from harness.runs.plan import Progress
from harness.runs.progress import StageRates

EVERY = 0.2  # seconds between updates of a stage


def running() -> bool:
    """Whether this process is a notebook's kernel. Imports nothing: a kernel has IPython loaded."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"


@contextmanager
def show() -> Iterator[Progress]:
    """A Progress callback that draws into the cell's output."""
    from IPython.display import HTML, display

    rates = StageRates()
    rows: dict[str, str] = {}
    handle = display(HTML(""), display_id=True)
    last = [0.0]

    def step(stage: str, done: int, total: int, tokens: int = 0, price: float = 0.0) -> None:
        told = rates.update(stage, done, total).describe(tokens, price)
        rows[stage] = (
            f"<tr><td>{escape(stage)}</td><td><progress value='{done}' max='{max(total, 1)}'></progress></td>"
            f"<td>{done}/{total}</td><td>{escape(told)}</td></tr>"
        )
        if done >= total or monotonic() - last[0] >= EVERY:
            last[0] = monotonic()
            handle.update(HTML(f"<table>{''.join(rows.values())}</table>"))

    yield step
