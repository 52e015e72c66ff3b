"""Sockets and signals of a service: uvicorn with its limits, ended in order by SIGTERM or Ctrl-C."""

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from harness import listening
from harness.errors import ConfigError
from harness.listening.connections import GuardedConnection
from harness.serve.app import application
from harness.serve.service import Service

if TYPE_CHECKING:
    import uvicorn

IDLE_S = 75  # of a connection between two requests
STOP_S = 20  # for requests that are being answered, once it is told to stop; then lanes have lanes.CLOSE_S
# Connections beside those of requests that are judged: who asks too much is told so on one of these (429), and beyond
# them by uvicorn itself, which knows no Retry-After (503).
MORE_CONNECTIONS = 256


@dataclass(frozen=True)
class ListenAddress:
    """Where it listens; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 8017


def check(address: ListenAddress, token: str, variable: str) -> None:
    """Raises ConfigError where anybody in the network could use the service, or the token is none."""
    if token and (not token.isascii() or not token.isprintable() or len(token) < 8):
        raise ConfigError(f"the token in {variable} has to be 8 or more printable ASCII characters")
    if not token and not listening.is_loopback(address.host):
        raise ConfigError(
            f"--host {address.host} is open to the network: set {variable} to a token that clients have to send"
        )


def serve(service: Service, address: ListenAddress, started: Callable[[str], None]) -> None:
    """Answer requests until SIGTERM or Ctrl-C; then finish those that were begun. `started` is given the URL.

    Raises UserError where the address cannot be had.
    """
    running = server(service)

    def stop(*_: object) -> None:
        running.should_exit = True

    with listening.listen(address.host, address.port) as socket:
        # Of now, until uvicorn takes them; once it has ended in order it passes them on, which asks for nothing more.
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        started(listening.url(socket))
        running.run(sockets=[socket])
    for number, handler in before.items():
        signal.signal(number, handler)


def server(service: Service) -> "uvicorn.Server":
    import uvicorn

    limits = service.admission.limits
    return uvicorn.Server(
        uvicorn.Config(
            application(service),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=STOP_S,
            limit_concurrency=limits.requests + MORE_CONNECTIONS,
            http=cast(Any, GuardedConnection),
            ws="none",
        )
    )
