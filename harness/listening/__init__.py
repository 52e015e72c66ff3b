"""Where a server of this project listens, and who can reach it there."""

import ipaddress
import socket

from harness.errors import UserError

WAITING = 1024  # connections that are made and not yet accepted


def is_loopback(host: str) -> bool:
    """Whether only this machine can be meant."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one. Raises UserError where that cannot be had."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError) as error:
        raise UserError(f"--host {host} --port {port}: {_cause(error)}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(WAITING)
    except (OSError, OverflowError) as error:
        listening.close()
        raise UserError(
            f"cannot listen at {host}:{port}: {_cause(error)}; --port 0 takes a port that is free"
        ) from None
    return listening


def url(listening: socket.socket) -> str:
    """Its address, by this machine's name where it listens on all of its addresses."""
    host, port = listening.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
