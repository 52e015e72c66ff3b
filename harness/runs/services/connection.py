"""One connection to a judge service: a thread that posts what the pool sends and hands over results as they come."""

import json
import logging
import pickle
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Condition, Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from harness.backends.openai.transport import FIRST_WAIT_S, MAX_SHOWN, MAX_WAIT_S, Reply, retry_after
from harness.errors import ConfigError, Fault, HarnessError, UserError
from harness.listening import is_loopback
from harness.runs.services import wire
from harness.runs.workers.pool import WorkerDied
from harness.runs.workers.protocol import SETUP, PartialResult, WorkRequest
from harness.schema.execution import JUDGE_STALL_S

if TYPE_CHECKING:
    import httpx2

LOG = logging.getLogger(__name__)
CONNECT_S = 10.0
UNREACHABLE_TRIES = 6  # half a minute, in which one may be restarted
BUSY_S = 600.0  # how long one is waited for that has too much to do
BUSY = (429, 503)
Answer = TypeVar("Answer")


class Unreachable(Exception):
    """No answer, or not a whole one; the text says why."""


class _Busy(Exception):
    """It has too much to do, and says when to come again."""

    def __init__(self, why: str, wait_s: float | None) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True)
class ServiceClient:
    """A service, and what its sandbox is asked to be. One that says nothing for `stall_s` seconds counts as gone."""

    base: str
    token: str = field(repr=False)
    settings: Mapping[str, Any]
    stall_s: float = JUDGE_STALL_S

    def open(self) -> "httpx2.Client":
        import httpx2

        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        timeout = httpx2.Timeout(self.stall_s, connect=min(CONNECT_S, self.stall_s))
        encrypted = self.base.startswith("https:")  # else no certificates are loaded, which takes a while
        proxied = not is_loopback(
            urlsplit(self.base).hostname or ""
        )  # a proxy's localhost is another machine
        return httpx2.Client(
            base_url=self.base, headers=headers, timeout=timeout, verify=encrypted, trust_env=proxied
        )

    def rows(
        self, http: "httpx2.Client", path: str, body: Mapping[str, Any]
    ) -> Iterator[tuple[Mapping[str, Any], int]]:
        """The lines of a streamed answer, each a JSON object, with their sizes. Raises UserError for a refusal and what
        is no judge, _Busy, Unreachable.
        """
        for text in filter(None, self._lines(http, path, body)):
            try:
                plain = json.loads(text)
            except ValueError:
                plain = None
            if not isinstance(plain, dict):
                raise Unreachable(f"it sent no JSON object: {text[:MAX_SHOWN]!r}")
            if "error" in plain:
                why = str(plain["error"])
                raise Unreachable(why) if plain.get("fault", True) else ConfigError(f"{self.base}: {why}")
            yield plain, len(text)

    def _lines(self, http: "httpx2.Client", path: str, body: Mapping[str, Any]) -> Iterator[str]:
        import httpx2

        data = wire.line({**body, "settings": self.settings})
        try:
            with http.stream(
                "POST", path, content=data, headers={"Content-Type": "application/json"}
            ) as answer:
                if answer.status_code != 200:
                    raise self._refusal(Reply(answer.status_code, answer.headers, answer.read()), path)
                if not answer.headers.get("Content-Type", "").startswith(wire.LINES):
                    raise ConfigError(f"{self.base}{path} gives no verdicts: is it a harness serve?")
                yield from answer.iter_lines()
        except httpx2.HTTPError as error:
            if isinstance(error, httpx2.ReadTimeout):
                raise Unreachable(f"it has given no sign of life for {self.stall_s:g} s") from None
            raise Unreachable(f"{type(error).__name__}: {error}".removesuffix(": ")) from None

    def _refusal(self, reply: Reply, path: str) -> Exception:
        why = " ".join(str(reply.error.get("message", reply.data[:MAX_SHOWN])).split())[:MAX_SHOWN]
        if reply.status in BUSY:
            return _Busy(why, retry_after(reply))
        if reply.status in (401, 403):
            return ConfigError(f"{self.base} asks for its token, in HARNESS_JUDGE_TOKEN: {why}")
        if reply.status == 404 and not reply.error:
            return ConfigError(f"{self.base} has no {path}: is it a harness serve?")
        if reply.status >= 500:
            return Unreachable(f"status {reply.status}: {why}")
        return ConfigError(f"{self.base}: {why}")

    def identity(self, http: "httpx2.Client") -> tuple[dict[str, Any], int]:
        """What verdicts there depend on, and how many workers it has. Raises ConfigError where its judge is another."""
        for plain, _ in self.rows(http, wire.SANDBOX, {}):
            if plain.get("version") != wire.version():
                raise ConfigError(
                    f"{self.base} judges with harness {plain.get('version')}, and this is {wire.version()}: verdicts"
                    " may differ; install the same version on both machines"
                )
            return plain["identity"], int(plain["workers"])
        raise Unreachable("an empty answer")


def ask_workers(clients: Sequence[ServiceClient]) -> list[int]:
    """How many workers each service has; one that is not there counts as having one. Raises Fault where none is."""
    counts, reasons = [], []
    for client in clients:
        try:
            with client.open() as http:
                counts.append(client.identity(http)[1])
        except (Unreachable, _Busy) as error:
            counts.append(1)
            reasons.append(f"no judge service at {client.base}: {error}")
    if len(reasons) == len(clients):
        raise Fault("; ".join(reasons))
    for reason in reasons:
        LOG.warning("%s; the others judge", reason)
    return counts


class Connection:
    """A WorkerHandle. Requests are carried out one after another, in a thread that ends with `close`."""

    def __init__(self, name: str, client: ServiceClient, arrived: Condition) -> None:
        self.name = name
        self._client = client
        self._arrived = arrived
        self._requests: SimpleQueue[bytes | None] = SimpleQueue()
        self._results: deque[tuple[PartialResult, int] | WorkerDied] = deque()
        self._closed = Event()
        Thread(target=self._run, daemon=True, name=name).start()

    def send(self, payload: bytes) -> None:
        self._requests.put(payload)

    @property
    def has_arrived(self) -> bool:
        return bool(self._results)

    def receive(self) -> list[tuple[PartialResult, int]]:
        """Raises WorkerDied behind the results that came before."""
        received: list[tuple[PartialResult, int]] = []
        while self._results:
            if isinstance(first := self._results[0], WorkerDied):
                if received:
                    break
                raise first
            received.append(first)
            self._results.popleft()
        return received

    def close(self) -> None:
        self._closed.set()
        self._requests.put(None)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        with self._client.open() as http:
            while (payload := self._requests.get()) is not None and not self._closed.is_set():
                request: WorkRequest = pickle.loads(payload)  # made by the pool of this very process
                began = monotonic()
                error: HarnessError | None = None
                results: Sequence[tuple[int, Any]] = ()
                try:
                    results = self._carry_out(http, request)
                except UserError as caught:
                    error = caught
                except (Unreachable, _Busy) as caught:
                    self._put(WorkerDied(str(caught)))
                    return
                except Exception as caught:  # a service may send anything
                    LOG.exception("%s", self.name)
                    self._put(WorkerDied(f"{type(caught).__name__}: {caught}"))
                    return
                seconds = monotonic() - began
                self._put((PartialResult(results, final=True, seconds=seconds, error=error), 0))

    def _put(self, what: "tuple[PartialResult, int] | WorkerDied") -> None:
        with self._arrived:
            self._results.append(what)
            self._arrived.notify()

    def _carry_out(self, http: "httpx2.Client", request: WorkRequest) -> Sequence[tuple[int, Any]]:
        """Hand over results as they come; returned are those for the end. Raises UserError, Unreachable, _Busy."""
        if request.method == SETUP:
            identity, _ = self._patiently(lambda: self._client.identity(http), UNREACHABLE_TRIES)
            return [(0, identity)]
        items = [pickle.loads(item) for _, item in request.items]
        numbers = [number for number, _ in request.items]
        path, body = (
            (wire.PROGRAMS, wire.encode_programs(items))
            if request.method == "programs"
            else (wire.QUERIES, wire.encode_queries(items))
        )
        self._patiently(lambda: self._receive_all(http, path, body, request.method, numbers), 1)
        return ()

    def _receive_all(
        self, http: "httpx2.Client", path: str, body: Mapping[str, Any], method: str, numbers: Sequence[int]
    ) -> None:
        received, done = 0, None
        for plain, size in self._client.rows(http, path, body):
            if "done" in plain:
                done = plain["done"]
                continue  # read to the end, a connection can be used again
            result = numbers[plain["number"]], wire.decode_result(method, plain)
            received += 1
            self._put((PartialResult([result]), size))
            if self._closed.is_set():
                return
        if done is None or not 0 < received == done:
            raise Unreachable(
                f"the answer ended before its time: {received} results, and the end said {done}"
            )

    def _patiently(self, ask: "Callable[[], Answer]", tries: int) -> Answer:
        """What `ask` returns, once the service has time for it, or can be reached."""
        until, failed = monotonic() + BUSY_S, 0
        while True:
            try:
                return ask()
            except _Busy as busy:
                if monotonic() > until:
                    raise
                seconds = busy.wait_s or FIRST_WAIT_S
            except Unreachable:
                failed += 1
                if failed >= tries:
                    raise
                seconds = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** (failed - 1))
            # Connections that were refused together must not return together.
            if self._closed.wait(seconds * (0.75 + random.random() / 2)):
                raise Unreachable("closed while it waited")
