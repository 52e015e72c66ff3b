"""Connections before their request is known: how many, how long a head may take, and how large it may be.

uvicorn accepts every connection, and keeps whatever is sent as a head, for as long as that takes; anybody who can
connect could fill its memory so, or take up all connections and descriptors, without a token.
"""

import asyncio
from typing import Any

HEAD_S = 30.0  # from the connection, or a head's first byte, to its end
HEAD_BYTES = 1 << 16
# Of a body that still comes after its request was refused: so an honest client reads why before the connection ends.
REFUSED_BODY_BYTES = 1 << 20
TOLD = 128  # connections beyond those that are answered: each is told so (503); any further one is closed at once


class GuardedConnection:
    """An asyncio.Protocol before uvicorn's own, to which everything is passed on. It needs limit_concurrency."""

    def __init__(self, **settings: Any) -> None:
        from uvicorn.protocols.http.auto import AutoHTTPProtocol

        self._inner: Any = AutoHTTPProtocol(**settings)
        self._others: set[Any] = settings["server_state"].connections
        self._most: int = settings["config"].limit_concurrency + TOLD
        self._refused = False
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.eof_received = self._inner.eof_received
        self.pause_writing = self._inner.pause_writing
        self.resume_writing = self._inner.resume_writing

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        if len(self._others) >= self._most:
            self._refused = True
            transport.abort()
            return
        self._start_timer()
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_timer()
        if not self._refused:
            self._inner.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        answered = self._inner.cycle  # the request before, if there was one
        self._inner.data_received(data)
        if answered is not None and not answered.response_complete:
            return  # a body, which the request's own limits are for
        if self._inner.cycle is not answered:
            self._size = 0
            self._stop_timer()
            return
        self._size += len(data)
        in_body = answered is not None and answered.more_body
        if self._size > (REFUSED_BODY_BYTES if in_body else HEAD_BYTES):
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._timer is None:
            self._start_timer()

    # ------------------------------------------------------------ the end

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD_S, self._refuse, b"408 Request Timeout")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _refuse(self, status: bytes) -> None:
        self._stop_timer()
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 " + status + b"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            self._transport.close()
