"""Who may ask, and for how much at a time: the token, and limits of body, time, requests and samples.

What is over a limit for good is refused (401, 408, 413, 415); what is too much just now is told when to come again (429
with Retry-After). All of it is decided before anything is judged, and on the event loop, so nothing here is locked.
"""

import asyncio
import hmac
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from harness.listening import is_loopback

if TYPE_CHECKING:
    from starlette.requests import Request

RATE_S = 5.0  # over which the rate is measured that Retry-After is made of
MAX_RETRY_AFTER_S = 60


class Refusal(Exception):
    """A request that is not carried out: status, one line, and headers."""

    def __init__(self, status: int, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status, self.headers = status, dict(headers or {})


@dataclass(frozen=True)
class ServiceLimits:
    """`body_mb` of one request, and four times that of all together; `read_s` until a body is there; `request_s`
    until it is judged; `queue` samples waiting or being judged; `requests` at a time.
    """

    body_mb: float = 32.0
    read_s: float = 30.0
    request_s: float = 600.0
    queue: int = 10_000
    requests: int = 256

    @property
    def body_bytes(self) -> int:
        return int(self.body_mb * (1 << 20))


@dataclass
class Admission:
    """What is admitted now. `token`: empty where anybody who can connect may ask."""

    limits: ServiceLimits
    token: str = field(repr=False, default="")
    samples: int = 0
    requests: int = 0
    bytes: int = 0
    _done: int = 0
    _since: float = field(default_factory=monotonic)
    _rate: float = 0.0

    def check_token(self, request: "Request") -> None:
        """Raises Refusal. Without a token the service is this machine's own, and asked by such a name: a page in a
        browser could otherwise give itself one that leads here.
        """
        if not self.token:
            if not is_loopback(request.url.hostname or ""):
                raise Refusal(403, "without a token only http://localhost and http://127.0.0.1 are answered")
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise Refusal(401, "a bearer token is needed, and this is none", {"WWW-Authenticate": "Bearer"})

    @contextmanager
    def reading(self) -> "Iterator[Reading]":
        """A body that is read; it counts as long as the block runs, for the message made of it is as large. Raises
        Refusal.
        """
        if self.requests >= self.limits.requests:
            raise self.busy(f"{self.requests} requests are being answered")
        reading = Reading(self)
        try:
            yield reading
        finally:
            self.bytes -= reading.size

    @contextmanager
    def judging(self, samples: int) -> Iterator[None]:
        """Raises Refusal."""
        limits = self.limits
        if samples > limits.queue:
            raise Refusal(413, f"{samples} samples in a request, and {limits.queue} at most: send several")
        if self.samples + samples > limits.queue or self.requests >= limits.requests:
            raise self.busy(f"{self.samples} samples of {self.requests} requests are being judged")
        self.samples += samples
        self.requests += 1
        try:
            yield
        finally:
            self.samples -= samples
            self.requests -= 1

    def busy(self, why: str) -> Refusal:
        return Refusal(429, f"too much at a time: {why}", {"Retry-After": str(self.retry_after)})

    def count(self, done: int) -> None:
        """So many samples have a verdict."""
        self._done += done
        if (seconds := monotonic() - self._since) > RATE_S:
            self._rate, self._done, self._since = self._done / seconds, 0, monotonic()

    @property
    def retry_after(self) -> int:
        """Seconds in which half of what is being judged will be done, at the present rate."""
        seconds = self.samples / 2 / self._rate if self._rate else 1.0
        return max(1, min(MAX_RETRY_AFTER_S, math.ceil(seconds)))


@dataclass
class Reading:
    """One body on its way."""

    admission: Admission
    size: int = 0

    async def body(self, request: "Request") -> bytearray:
        """Raises Refusal for one that is too large, of another type, too slow, or one too many."""
        limits = self.admission.limits
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            # What a page in a browser can send to a service on the same machine is of other types.
            raise Refusal(415, "the body has to be application/json")
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limits.body_bytes:
            raise self._too_large()
        data = bytearray()
        try:
            async with asyncio.timeout(limits.read_s):
                async for piece in request.stream():
                    data += piece
                    self._grow(len(piece))
        except TimeoutError:
            raise Refusal(
                408, f"the body did not come within {limits.read_s:g} s", {"Connection": "close"}
            ) from None
        return data

    def _grow(self, more: int) -> None:
        limits = self.admission.limits
        self.size += more
        self.admission.bytes += more
        if self.size > limits.body_bytes:
            raise self._too_large()
        if self.admission.bytes > 4 * limits.body_bytes:
            refusal = self.admission.busy(f"bodies of {self.admission.bytes >> 20} MB are being read")
            refusal.headers["Connection"] = "close"
            raise refusal

    def _too_large(self) -> Refusal:
        limit = self.admission.limits.body_mb
        why = f"the body has more than {limit:g} MB: send several requests, or start the service with --max-body-mb"
        return Refusal(413, why, {"Connection": "close"})
