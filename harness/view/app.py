"""The viewer's addresses. Everything is read; the commands that are started write to a temporary folder.

    /  /run  /side            the pages
    /cards  /state            server-sent events: of all runs, of one
    /samples  /sample         a page of samples, or those with a text; one in full
    /pairs                    the samples of two runs side by side
    /report  /compare         what these commands make of chosen runs

A run is named by its folder below the one that is watched, and looked up among those that were found there.
"""

import asyncio
import re
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.view import child, events, pages, samples
from harness.view.index import IndexedRun, RunIndex
from harness.view.pairs import SHOWN, Pairs
from harness.view.watcher import Watcher

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LONGEST_QUERY = 1000
MOST_CHOSEN = 100  # runs of a report
MOST_CHILDREN = 2  # reports and comparisons at a time; others wait
READ_S = 2.0  # between two events of a run that is not wholly in the index yet, it is read for so long

Endpoint = Callable[["Request"], "Response | Coroutine[Any, Any, Response]"]


def make_app(root: Path, name: str = "", ending: events.Ending = lambda: False) -> "Starlette":
    """The app that shows the runs below `root`, which the user calls `name`; streams and commands end when `ending`."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    viewer = Viewer(Watcher(root), name or str(root), ending)
    endpoints: dict[str, Endpoint] = {
        "/": lambda request: _page("runs"),
        "/run": lambda request: _page("samples"),
        "/side": lambda request: _page("side"),
        "/cards": viewer.cards,
        "/state": viewer.state,
        "/samples": viewer.samples,
        "/sample": viewer.sample,
        "/pairs": viewer.pairs,
        "/report": viewer.report,
        "/compare": viewer.compare,
    }
    return Starlette(
        routes=[Route(path, endpoint) for path, endpoint in endpoints.items()],
        exception_handlers={OSError: _unreadable, sqlite3.Error: _no_index},
    )


@dataclass
class Viewer:
    watcher: Watcher
    name: str
    ending: events.Ending
    index: RunIndex = field(default_factory=RunIndex)
    shared: Pairs = field(init=False)
    children: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_CHILDREN))

    def __post_init__(self) -> None:
        self.shared = Pairs(self.index)

    # ------------------------------------------------------------ events

    async def cards(self, request: "Request") -> "Response":
        del request
        return _stream(events.cards(self.watcher.look, self.name, self.ending))

    async def state(self, request: "Request") -> "Response":
        """Of a run: its card, and how much of it there is to read."""
        from starlette.concurrency import run_in_threadpool

        run = request.query_params.get("run", "")
        await run_in_threadpool(self._folder, request, "run")

        def look() -> Any:
            card = next((card for card in self.watcher.look() if card.run == run), None)
            folder = self.watcher.folder(run)
            if card is None or folder is None:
                return {"card": card and asdict(card), "unreadable": "This run's samples are not there."}
            try:
                return {
                    "card": asdict(card),
                    **samples.about(self.index, self.index.open(run, folder, READ_S)),
                }
            except (OSError, sqlite3.Error) as error:  # the next look may have more luck
                return {"card": asdict(card), "unreadable": _cause(error)}

        return _stream(events.states(look, self.ending))

    # ------------------------------------------------------------ samples

    def samples(self, request: "Request") -> "Response":
        run, asked = self._run(request, "run"), request.query_params
        ended, query = asked.get("ended", ""), asked.get("q", "")[:LONGEST_QUERY]
        if query:
            return _json(samples.search(self.index, run, query, ended, _number(request, "after", -1)))
        newest = asked.get("order") == "newest"
        return _json(samples.page(self.index, run, ended, _number(request, "start", 0), newest))

    def sample(self, request: "Request") -> "Response":
        run, at = self._run(request, "run"), _number(request, "at", 0)
        try:
            found = samples.whole(self.index, run, at)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise _refused(422, f"This sample's rows hold what they should not: {error}") from None
        if found is None:
            raise _refused(404, "The run has been written anew: ask for its samples again.")
        return _json(found)

    def pairs(self, request: "Request") -> "Response":
        left, right = self._run(request, "left"), self._run(request, "right")
        show = request.query_params.get("show", "all")
        if show not in SHOWN:
            raise _refused(400, f"show: expected one of {', '.join(SHOWN)}")
        return _json(self.shared.page(left, right, show, _number(request, "start", 0)))

    # ------------------------------------------------------------ commands

    async def report(self, request: "Request") -> "Response":
        from starlette.background import BackgroundTask
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse

        folders = await run_in_threadpool(self._chosen, request)
        made = tempfile.TemporaryDirectory(prefix="harness-view-")
        file = Path(made.name) / "report.html"
        ended = await self._command(request, "report", folders, "--out", str(file))
        if ended.code != 0 or not file.is_file():
            made.cleanup()
            return _html(pages.printed("No report", ended.err or ended.out), 422)
        return FileResponse(file, media_type="text/html", background=BackgroundTask(made.cleanup))

    async def compare(self, request: "Request") -> "Response":
        from starlette.concurrency import run_in_threadpool

        folders = await run_in_threadpool(self._chosen, request)
        ended = await self._command(request, "compare", folders)
        if ended.code != 0:
            return _html(pages.printed("No comparison", ended.err or ended.out), 422)
        return _html(pages.printed("Comparison", ended.out + ended.err))

    async def _command(
        self, request: "Request", command: str, folders: Sequence[Path], *options: str
    ) -> child.ChildEnd:
        async def unwanted() -> bool:
            return self.ending() or await request.is_disconnected()

        async with self.children:
            if await unwanted():  # closed while others had their turn
                return child.ChildEnd(None, "", "nobody waits for it any more")
            return await child.run_harness(command, folders, *options, unwanted=unwanted)

    # ------------------------------------------------------------ runs

    def _chosen(self, request: "Request") -> list[Path]:
        names = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 0 < len(names) <= MOST_CHOSEN:
            raise _refused(400, f"Choose 1 to {MOST_CHOSEN} runs.")
        found = [self.watcher.folder(name) for name in names]
        if None in found:
            raise _refused(404, f"There is no run {names[found.index(None)]!r}.")
        return [folder for folder in found if folder is not None]

    def _folder(self, request: "Request", name: str) -> Path:
        run = request.query_params.get(name, "")
        folder = self.watcher.folder(run)
        if folder is None:
            raise _refused(404, f"There is no run {run!r}.")
        return folder

    def _run(self, request: "Request", name: str, seconds: float = 0.5) -> IndexedRun:
        return self.index.open(request.query_params.get(name, ""), self._folder(request, name), seconds)


def _number(request: "Request", name: str, default: int) -> int:
    """A whole number from `default`, which is the least, on."""
    text = request.query_params.get(name, str(default))
    if not re.fullmatch(r"-?[0-9]{1,15}", text) or int(text) < default:
        raise _refused(400, f"{name}: expected a whole number from {default} on")
    return int(text)


def _refused(status: int, text: str) -> Exception:
    from starlette.exceptions import HTTPException

    return HTTPException(status, text)


def _unreadable(request: "Request", error: Exception) -> "Response":
    from starlette.responses import PlainTextResponse

    del request
    return PlainTextResponse(_cause(error), 404)


def _no_index(request: "Request", error: Exception) -> "Response":
    """No room for it, or the run was dropped for others while it was asked for."""
    from starlette.responses import PlainTextResponse

    del request
    return PlainTextResponse(f"The index has failed, ask again: {error}", 503)


def _cause(error: Exception) -> str:
    name = Path(str(getattr(error, "filename", "") or "")).name
    return f"{name or 'The run'} cannot be read: {getattr(error, 'strerror', None) or error}"


def _json(plain: Any) -> "Response":
    from starlette.responses import Response

    return Response(events.to_json(plain), media_type="application/json")


def _html(text: str, status: int = 200) -> "Response":
    from starlette.responses import HTMLResponse

    return HTMLResponse(text, status)


def _page(name: str) -> "Response":
    return _html(pages.html(name))


def _stream(messages: Any) -> "Response":
    from starlette.responses import StreamingResponse

    return StreamingResponse(messages, media_type="text/event-stream")
