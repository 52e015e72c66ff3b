"""The routes of a service as a Starlette application: one table, and one way through it for every request.

token -> body within limits -> message -> Work -> admitted -> judged in a thread -> JSON, or lines of it as they come
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from harness import __version__
from harness.errors import DataError, Fault, HarnessError, UserError
from harness.runs.services import wire
from harness.schema import Value
from harness.serve import messages, openapi, programs, stream, verdicts
from harness.serve.admission import Refusal
from harness.serve.service import Service, Work

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

LOG = logging.getLogger(__name__)
SMALL = 1 << 16  # bytes of a body that is read on the event loop; a larger one would hold up others
BYTES_A_VALUE = 16  # of the largest body, at least: a value takes some 64 in memory
CONNECTED_S = 1.0  # how often it is seen whether somebody still waits for an answer
Answer = Any  # an ASGI response: one of Starlette's, or _Held
GRACE_S = 30.0  # for a slow reader to take the last lines, once judging has ended


@dataclass(frozen=True)
class Operation:
    """A route that judges. `asks` None: a batch of runs/services, which is no place for another client."""

    path: str
    summary: str
    work: Callable[[Service, Any], Work[Any]]
    asks: type[Value] | None = None
    answers: type[Value] | None = None


OPERATIONS = (
    Operation(
        "/v1/verdicts",
        "Verdicts on completions of a task's problems, by the tests that are here",
        verdicts.verdicts,
        messages.VerdictRequest,
        messages.VerdictReply,
    ),
    Operation(
        "/v1/rewards",
        "Rewards of completions of a task's problems, for training",
        verdicts.rewards,
        messages.RewardRequest,
        messages.RewardReply,
    ),
    Operation(
        "/v1/checks",
        "Verdicts on programs and queries by tests that are posted with them",
        verdicts.checks,
        messages.CheckRequest,
        messages.VerdictReply,
    ),
    Operation(
        "/run_code",
        "A program's output, as SandboxFusion answers",
        verdicts.code,
        messages.RunCodeRequest,
        messages.RunCodeReply,
    ),
    Operation(wire.SANDBOX, "What verdicts here depend on, for --judge-url", programs.describe),
    Operation(wire.PROGRAMS, "Programs of a run elsewhere, for --judge-url", programs.programs),
    Operation(wire.QUERIES, "Queries of a run elsewhere, for --judge-url", programs.queries),
)


def application(service: Service) -> "Starlette":
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def health() -> "Response":
        return _json({"status": "ok", "version": __version__, "tasks": sorted(service.judges)})

    async def metrics() -> "Response":
        return PlainTextResponse(service.metrics.text(), media_type="text/plain; version=0.0.4")

    async def description() -> "Response":
        return _json(openapi.describe(OPERATIONS))

    async def tasks() -> "Response":
        records = await stream.result(lambda: [dict(each.record) for each in service.judges.values()])
        return _json({"tasks": records})

    async def problems(name: str) -> "Response":
        asked = service.find(name).plan.problems
        return _json({"problems": [{"id": each.id, "question": each.question} for each in asked]})

    def get(path: str, answer: Callable[..., Awaitable["Response"]], is_open: bool = False) -> Route:
        async def endpoint(request: "Request") -> "Response":
            if not is_open:
                service.admission.check_token(request)
            return await answer(**request.path_params)

        return Route(path, partial(_counted, service, path, endpoint), methods=["GET"])

    def post(operation: Operation) -> Route:
        endpoint = partial(_judge, service, operation)
        return Route(operation.path, partial(_counted, service, operation.path, endpoint), methods=["POST"])

    @asynccontextmanager
    async def lifespan(app: "Starlette") -> AsyncIterator[None]:
        del app
        yield
        await asyncio.to_thread(service.close)

    return Starlette(
        routes=[
            get("/health", health, is_open=True),
            get("/metrics", metrics),
            get("/openapi.json", description, is_open=True),
            get("/v1/tasks", tasks),
            get("/v1/tasks/{name}", problems),
            *map(post, OPERATIONS),
        ],
        lifespan=lifespan,
    )


async def _counted(
    service: Service,
    path: str,
    endpoint: Callable[["Request"], Awaitable[Answer]],
    request: "Request",
) -> Answer:
    """The endpoint's answer, or its error's; counted when its head is known."""
    began, response = monotonic(), None
    try:
        response = await endpoint(request)
    except (Refusal, HarnessError) as error:
        response = _error(error)
    except Exception as error:  # of ours: asking again would not help
        LOG.exception("%s", path)
        response = _json(_error_fields(_failure(error)), 500)
    finally:
        service.metrics.request(path, response.status_code if response else 500, monotonic() - began)
    return response


def _json(
    fields: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> "Response":
    """As Python's json writes it: an answer may be no valid Unicode, escaped it crosses too. A large one goes in
    pieces: uvicorn takes each whole, and waits for its reader before the next.
    """
    from starlette.responses import Response, StreamingResponse

    data = wire.line(fields)
    if len(data) <= SMALL:
        return Response(data, status, headers, media_type="application/json")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), SMALL):
            yield data[start : start + SMALL]

    length = {"Content-Length": str(len(data))}
    return StreamingResponse(pieces(), status, {**(headers or {}), **length}, media_type="application/json")


def _error(error: Refusal | HarnessError) -> "Response":
    status, headers = 500, {}
    match error:
        case Refusal():
            status, headers = error.status, error.headers
        case DataError():
            status = 404
        case UserError():
            status = 422
        case Fault():
            status, headers = 503, {"Retry-After": "1"}
    return _json(_error_fields(error), status, headers)


def _failure(error: Exception) -> Fault:
    return Fault(f"the service failed: {type(error).__name__}")


def _error_fields(error: Exception) -> dict[str, Any]:
    return {"error": {"message": str(error), "type": type(error).__name__}}


# ---------------------------------------------------------------- a request that judges


async def _judge(service: Service, operation: Operation, request: "Request") -> Answer:
    admission = service.admission
    admission.check_token(request)
    async with AsyncExitStack() as held:
        reading = held.enter_context(admission.reading())
        body = bytes(await reading.body(request))
        prepare = partial(_prepare, service, operation, body)
        work = prepare() if len(body) <= SMALL else await stream.result(prepare)
        held.enter_context(admission.judging(work.samples))
        limit_s = admission.limits.request_s + GRACE_S
        # The stack is unwound when the last of the answer is sent, or the reader has left.
        if work.whole is None:
            return _Held(_lines(service, work), limit_s, held.pop_all())
        rows = await _all_rows(service, work, request)
        return _Held(_json(work.whole(rows)), limit_s, held.pop_all())


def _prepare(service: Service, operation: Operation, body: bytes) -> Work[Any]:
    if len(body) > SMALL:
        messages.few_values(body, service.admission.limits.body_bytes // BYTES_A_VALUE)
    asked = messages.load(body) if operation.asks is None else messages.read(operation.asks, body)
    return operation.work(service, asked)


async def _rows(service: Service, work: Work[Any], heartbeat_s: float) -> AsyncIterator[list[Any]]:
    """Rows as they come. Raises Refusal once the time for a request is over."""
    limit_s = service.admission.limits.request_s
    until = monotonic() + limit_s
    async for some in stream.batches(work.rows, min(heartbeat_s, limit_s), work.size):
        judged = [status for row in some if (status := work.status(row))[1]]
        for each in judged:
            service.metrics.verdict(*each)
        service.admission.count(len(judged))
        yield some
        if monotonic() > until:
            raise Refusal(
                503,
                f"not judged within {limit_s:g} s; what is judged is kept, so ask again",
                {"Retry-After": str(service.admission.retry_after)},
            )


async def _all_rows(service: Service, work: Work[Any], request: "Request") -> list[Any]:
    rows: list[Any] = []
    async for some in _rows(service, work, CONNECTED_S):
        rows += some
        if await request.is_disconnected():
            raise Refusal(499, "nobody waits for the answer")
    return rows


class _Held:
    """An ASGI response that holds what its request was admitted for until it is sent. Bound in time, also for a reader
    that takes nothing.
    """

    def __init__(self, response: "Response", limit_s: float, held: AsyncExitStack) -> None:
        self.status_code = response.status_code
        self._response, self._limit_s, self._held = response, limit_s, held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with self._held:
            try:
                async with asyncio.timeout(self._limit_s):
                    await self._response(scope, receive, send)
            except TimeoutError:
                # Without an end to its answer uvicorn closes the connection.
                LOG.warning("a reader did not take its answer within %g s; it is let go", self._limit_s)


def _lines(service: Service, work: Work[Any]) -> "Response":
    """Rows as lines of JSON."""
    from starlette.responses import StreamingResponse

    async def lines() -> AsyncIterator[bytes]:
        try:
            async for some in _rows(service, work, wire.HEARTBEAT_S):
                yield b"".join(wire.line(work.line(row)) for row in some) or b"\n"
        except (Refusal, HarnessError) as error:
            yield wire.line({"error": str(error), "fault": not isinstance(error, UserError)})
        except Exception as error:
            LOG.exception("verdicts as lines")
            yield wire.line({"error": str(_failure(error)), "fault": True})

    return StreamingResponse(lines(), media_type=wire.LINES)
