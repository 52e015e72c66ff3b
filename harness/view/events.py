"""Server-sent events: what has changed since the last message to one page.

A page that is closed ends its stream, and so does the server's end; nothing is looked at for nobody.
"""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, replace
from time import monotonic
from typing import Any

from harness.view.run_card import RunCard

INTERVAL_S = 1.0
END_S = 0.2  # after the server has been told to end, streams do
SILENCE_S = 15.0  # after which a comment keeps proxies from closing the stream

Ending = Callable[[], bool]  # whether the server has been told to end


def to_json(plain: Any) -> str:
    """In ASCII: half a surrogate pair in what a model wrote has no UTF-8."""
    return json.dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def message(plain: Any) -> str:
    return f"data: {to_json(plain)}\n\n"


async def cards(
    look: Callable[[], Sequence[RunCard]], root: str, ending: Ending, interval: float = INTERVAL_S
) -> AsyncIterator[str]:
    """All cards, with the folder that is watched, then those that change. `gone`: runs whose folders are no longer
    there; what the first message does not have is gone for a page that asks again."""
    known: dict[str, RunCard] | None = None
    async for now in _looks(look, ending, interval):
        if now is None:
            yield ": still here\n\n"
            continue
        found = {card.run: card for card in now}
        before = known or {}
        changed = [asdict(replace(card, notes=())) for run, card in found.items() if before.get(run) != card]
        gone = [run for run in before if run not in found]
        if known is None:
            yield message({"runs": changed, "gone": [], "root": root})
        elif changed or gone:
            yield message({"runs": changed, "gone": gone})
        known = found


async def states(look: Callable[[], Any], ending: Ending, interval: float = INTERVAL_S) -> AsyncIterator[str]:
    """Each state that is another than the one before."""
    before: Any = None
    async for now in _looks(look, ending, interval):
        if now is None:
            yield ": still here\n\n"
        elif now != before:
            yield message(now)
            before = now


async def _looks(look: Callable[[], Any], ending: Ending, interval: float) -> AsyncIterator[Any]:
    """What `look` says, again and again, in a thread; None now and then, to be said though nothing has changed."""
    from anyio import sleep, to_thread

    silent = 0.0
    while not ending():
        yield await to_thread.run_sync(look)
        until = monotonic() + interval
        while not ending() and (left := until - monotonic()) > 0:
            await sleep(min(left, END_S))
        silent += interval
        if silent >= SILENCE_S:
            silent = 0.0
            yield None
