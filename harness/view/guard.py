"""Who is answered: requests for this address, with its token, that no other site made. ASGI around the app.

On loopback the danger is another site in the same browser: it is told apart by the name that it has to ask for
(DNS rebinding) and by what the browser says of who asks. Opened wider, everybody who can reach the address can ask:
the token, the first part of the path, is then what one has to know. There are no cookies that a foreign request could
carry.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PAGES = frozenset({"/", "/run", "/side"})  # a link from elsewhere may lead to these; they hold no data
HEADERS = (
    (b"content-security-policy", b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # the token is in the address
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

Refusal = tuple[int, str]


@dataclass(frozen=True)
class Guard:
    """`hosts` are the names that the address may have, empty for any; an empty `token` is none."""

    app: "ASGIApp"
    hosts: frozenset[str] = LOOPBACK
    token: str = ""

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return

        async def guarded(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        inner = self._inner(scope)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = (
            (403, "Open the whole address that harness view has printed.")
            if inner is None
            else refusal(scope["method"], inner["path"], headers, self.hosts)
        )
        if refused is not None or inner is None:
            await _refuse(guarded, *(refused or (403, "")))
        else:
            await self.app(inner, receive, guarded)

    def _inner(self, scope: MutableMapping[str, Any]) -> dict[str, Any] | None:
        """The request as the app gets it, without the token; None where that is wrong."""
        if not self.token:
            return dict(scope)
        _, given, rest = (*scope["path"].split("/", 2), "", "")[:3]
        if not compare_digest(given.encode(), self.token.encode()):
            return None
        return {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}


def refusal(method: str, path: str, headers: Mapping[str, str], hosts: frozenset[str]) -> Refusal | None:
    """Why a request is not answered: (status, text), None for one that is. Names of headers are in lower case."""
    host = headers.get("host", "")
    if method not in ("GET", "HEAD"):
        return 405, "Nothing can be changed here."
    if hosts and _hostname(host) not in hosts:
        return 403, "This address has another name."
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return 403, "Another site asks."
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        opened = (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) == ("navigate", "document")
        if not opened or path not in PAGES:
            return 403, "Another site asks."
    return None


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _refuse(send: "Send", status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
