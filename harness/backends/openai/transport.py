"""The line to a server: a request is sent until there is an answer, with waits between tries and a time limit for each.

Statuses and errors after which the same request may work are tried again; any other status is handed back as it is.
The key goes into one header and nowhere else: it is cut out of what the server says before that reaches a message.
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

AGAIN = frozenset(
    {408, 409, 425, 429, 500, 502, 503, 504, 529}
)  # statuses after which the same request may work
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
LONGEST_ANSWER = 1 << 28  # bytes: more is no answer to any of our questions
SECRET = 8  # characters from which on a key is one; shorter ones ("none", "EMPTY") are words
SHOWN = 300  # characters of a server's answer in a message

Read = TypeVar("Read")


class Nonsense(Exception):
    """The server answered 200 with something that is no answer, or its answer never came whole."""


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


@dataclass
class Line:
    """`sleep(seconds, left)` waits, but not longer than until `left` is set; a parameter so that tests need not."""

    url: str
    server: ServerConfig
    key: str = field(repr=False, default="")
    own: bool = False
    sleep: Callable[[float, Event], object] = field(
        repr=False, default=lambda seconds, left: left.wait(seconds)
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
            trust_env=not self.own,  # no proxy stands before a server on this machine
        )
        self._rng = random.Random()  # not seeded: workers that were refused together must not return together

    def close(self) -> None:
        self.http.close()

    def post(
        self, path: str, body: Mapping[str, Any], read: Callable[[Reply], Read], left: Event
    ) -> Read | Reply:
        """What `read` makes of the answer, or the reply where the server refuses for good.

        `read` raises Nonsense for what is no answer. Raises BackendFault when no try brought one.
        """
        began = time.monotonic()
        reason, asked = "", None
        for attempt in range(self.server.retries + 1):
            if attempt:
                self._pause(attempt, asked, left)
            asked = None
            try:
                reply = self._once(path, body)
                if reply.status == 200:
                    return read(reply)
            except Nonsense as error:
                reason = str(error)
                continue
            if reply.status not in AGAIN:
                return reply
            reason, asked = f"status {reply.status}: {self.said(reply)}", asked_to_wait(reply)
        seconds = time.monotonic() - began
        raise BackendFault(
            f"{self.url}: no answer after {self.server.retries + 1} tries in {seconds:.0f} s; the last one: {reason}"
        )

    def _once(self, path: str, body: Mapping[str, Any]) -> Reply:
        """The library's limit is for each read: a server that sends a byte now and then needs one over all."""
        import httpx2

        deadline = time.monotonic() + self.server.request_s
        data = bytearray()
        try:
            with self.http.stream("POST", path, json=body) as answer:
                for piece in answer.iter_bytes():
                    data += piece
                    if time.monotonic() > deadline:
                        raise Nonsense(f"no whole answer within {self.server.request_s:g} s")
                    if len(data) > LONGEST_ANSWER:
                        raise Nonsense(f"an answer of more than {LONGEST_ANSWER >> 20} MB")
        except httpx2.RequestError as error:  # the connection, the time, the encoding
            raise Nonsense(self.clean(f"{type(error).__name__}: {error}".removesuffix(": "))) from None
        return Reply(answer.status_code, answer.headers, bytes(data))

    def _pause(self, attempt: int, asked: float | None, left: Event) -> None:
        """Longer from try to try and never the same, so that requests refused together do not return together."""
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1))
        seconds = longest * (0.5 + self._rng.random() / 2)
        if asked is not None:
            seconds = min(asked, self.server.request_s) + seconds / 4
        self.sleep(seconds, left)
        if left.is_set():
            raise BackendFault("stopped while waiting for the server")

    def said(self, reply: Reply) -> str:
        """What the server gives as its reason, as one line."""
        try:
            plain = reply.json()
            error = plain.get("error", plain) if isinstance(plain, dict) else plain
            text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
        except ValueError:
            text = reply.data.decode("utf-8", "replace")
        return " ".join(self.clean(text).split())[:SHOWN] or "no reason given"

    def clean(self, text: str) -> str:
        return text.replace(self.key, "[the key]") if len(self.key) >= SECRET else text


def asked_to_wait(reply: Reply) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date."""
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
