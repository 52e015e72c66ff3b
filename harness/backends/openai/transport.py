"""HTTP requests to a server, with retries, back-off and a time limit for each try.

Statuses and errors after which the same request may succeed are retried; any other status is returned as it is. The key
goes into one header and nowhere else: it is removed from what the server says before that reaches a message.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, TypeVar

from harness.config.backend import ServerConfig
from harness.errors import BackendFault, ConfigError

RETRY_STATUSES = frozenset(
    {408, 409, 425, 429, 500, 502, 503, 504, 529}
)  # statuses after which the same request may work
FIRST_WAIT_S = 0.5
MAX_WAIT_S = 60.0
MAX_RESPONSE_BYTES = 1 << 28  # more is no valid response to any of our requests
MIN_KEY_LENGTH = 8  # characters from which on a key is one; shorter ones ("none", "EMPTY") are words
MAX_SHOWN = 300  # characters of a server's answer in a message

Read = TypeVar("Read")


class InvalidResponse(Exception):
    """The server answered 200 with something else than a valid response, or its response was cut off."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    data: bytes

    def json(self) -> Any:
        """Raises ValueError, for nesting too deep as well."""
        try:
            return json.loads(self.data)
        except RecursionError:
            raise ValueError("nested too deep") from None

    @property
    def error(self) -> Mapping[str, Any]:
        """The error that the server sent, as an object; empty where it sent none or another one."""
        try:
            plain = self.json()
        except ValueError:
            return {}
        error = plain.get("error", plain) if isinstance(plain, dict) else plain
        return error if isinstance(error, dict) else {}


@dataclass
class Transport:
    """`sleep(seconds, cancelled)` waits, at most until `cancelled` is set; a parameter so that tests need not wait."""

    url: str
    server: ServerConfig
    key: str = field(repr=False, default="")
    on_this_machine: bool = False
    sleep: Callable[[float, Event], object] = field(
        repr=False, default=lambda seconds, cancelled: cancelled.wait(seconds)
    )

    def __post_init__(self) -> None:
        import httpx2

        self.key = self.key.strip()
        if not self.key.isascii() or not self.key.isprintable():
            raise ConfigError(
                f"the key in the environment variable {self.server.key_env} has characters that no key has"
            )
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        most = self.server.concurrency
        self.http = httpx2.Client(
            base_url=self.url,
            headers=headers,
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            timeout=httpx2.Timeout(self.server.request_s, connect=min(10.0, self.server.request_s)),
            trust_env=not self.on_this_machine,  # no proxy stands before a server on this machine
        )
        self._rng = random.Random()  # not seeded: workers that were refused together must not return together
        self._first_cause = ""  # of what went wrong since a request, of any thread, last succeeded

    def close(self) -> None:
        self.http.close()

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        read: Callable[[Reply], Read],
        cancelled: Event,
        is_refusal: Callable[[Reply, str], bool] = lambda reply, reason: False,
    ) -> Read | Reply:
        """What `read` makes of the response, or the reply itself if the server refuses for good: by its status, or
        by its words, of which `is_refusal` decides.

        `read` raises InvalidResponse. Raises BackendFault if no try succeeded, with the first cause and the last: a
        server that dies of a request refuses connections in the end, and says why in the beginning.
        """
        began = time.monotonic()
        causes, requested_wait = list[str](), None
        for attempt in range(self.server.retries + 1):
            if attempt:
                self._back_off(attempt, requested_wait, cancelled)
            requested_wait = None
            try:
                reply = self._send(path, body)
                if reply.status not in RETRY_STATUSES or is_refusal(reply, self.reason_given(reply)):
                    made = read(reply) if reply.status == 200 else reply
                    self._first_cause = ""
                    return made
                cause = f"status {reply.status}: {self.reason_given(reply)}"
                requested_wait = retry_after(reply)
            except InvalidResponse as error:
                cause = str(error)
            causes.append(cause)
            self._first_cause = self._first_cause or cause
        seconds = time.monotonic() - began
        first = self._first_cause or causes[0]
        since = f"; it began with {first}" if first != causes[-1] else ""
        raise BackendFault(
            f"{self.url}: no answer after {self.server.retries + 1} tries in {seconds:.0f} s{since}; the last one:"
            f" {causes[-1]}"
        )

    def _send(self, path: str, body: Mapping[str, Any]) -> Reply:
        """The library's time limit is for each read: a server that sends a byte now and then needs another."""
        import httpx2

        deadline = time.monotonic() + self.server.request_s
        data = bytearray()
        try:
            with self.http.stream("POST", path, json=body) as answer:
                for piece in answer.iter_bytes():
                    data += piece
                    if time.monotonic() > deadline:
                        raise InvalidResponse(f"no whole answer within {self.server.request_s:g} s")
                    if len(data) > MAX_RESPONSE_BYTES:
                        raise InvalidResponse(f"an answer of more than {MAX_RESPONSE_BYTES >> 20} MB")
        except httpx2.RequestError as error:  # the connection, the time, the encoding
            raise InvalidResponse(
                self.redact(f"{type(error).__name__}: {error}".removesuffix(": "))
            ) from None
        return Reply(answer.status_code, answer.headers, bytes(data))

    def _back_off(self, attempt: int, requested_wait: float | None, cancelled: Event) -> None:
        """Exponential back-off with jitter, so that requests refused together do not return together."""
        longest = min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))
        seconds = longest * (0.5 + self._rng.random() / 2)
        if requested_wait is not None:
            seconds = min(requested_wait, self.server.request_s) + seconds / 4
        self.sleep(seconds, cancelled)
        if cancelled.is_set():
            raise BackendFault("stopped while waiting for the server")

    def reason_given(self, reply: Reply) -> str:
        """The reason that the server gives, as one line."""
        try:
            plain = reply.json()
            error = plain.get("error", plain) if isinstance(plain, dict) else plain
            text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
        except ValueError:
            text = reply.data.decode("utf-8", "replace")
        return " ".join(self.redact(text).split())[:MAX_SHOWN] or "no reason given"

    def redact(self, text: str) -> str:
        return text.replace(self.key, "[the key]") if len(self.key) >= MIN_KEY_LENGTH else text


def retry_after(reply: Reply) -> float | None:
    """Seconds until a Retry-After header, which is a number or a date."""
    text = reply.headers.get("retry-after")
    if text is None:
        return None
    with suppress(ValueError):
        return max(0.0, float(text))
    with suppress(ValueError, TypeError):
        at = parsedate_to_datetime(text)
        return max(
            0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
        )
    return None
