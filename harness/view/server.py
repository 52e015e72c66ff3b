"""The socket and the server of `harness view`: bound to this machine unless told, with a token where others can ask."""

import ipaddress
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from harness.view.guard import LOOPBACK, Guard

STOP_S = 1  # open pages are given so long when the server ends


@dataclass(frozen=True)
class Address:
    """`token` is empty for none; port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = ""


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def new_token() -> str:
    return secrets.token_urlsafe(24)


def serve(root: Path, address: Address, started: Callable[[str], None]) -> None:
    """Show the runs below `root` until Ctrl-C; `started` is told the URL. Raises ConfigError."""
    import uvicorn

    from harness.view.app import make_app

    hosts = frozenset() if address.token else LOOPBACK
    app = Guard(make_app(root), hosts, address.token)
    with _listen(address) as listening:
        settings = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
        )
        started(_url(address, listening.getsockname()[1]))
        try:
            uvicorn.Server(settings).run(sockets=[listening])
        except KeyboardInterrupt:  # the server has ended by then
            return


def _listen(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, OverflowError) as error:
        why = (getattr(error, "strerror", None) or str(error)).partition(" (")[0]
        raise ConfigError(
            f"--host {address.host} --port {address.port}: {why}; --port 0 takes a port that is free"
        ) from None


def _url(address: Address, port: int) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"http://{host}:{port}/{address.token}{'/' if address.token else ''}"
