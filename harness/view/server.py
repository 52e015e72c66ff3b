"""The socket and the server of `harness view`: bound to this machine unless told, with a token where others can ask."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness import listening
from harness.listening.connections import GuardedConnection
from harness.view.guard import LOOPBACK, Guard

CONNECTIONS = 256  # with their pages' streams
STOP_S = 5  # at most, for what is being answered when the server ends; streams end at once


@dataclass(frozen=True)
class Address:
    """`token` is empty for none; port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8765
    token: str = ""


def new_token() -> str:
    return secrets.token_urlsafe(24)


def serve(root: Path, name: str, address: Address, started: Callable[[str], None]) -> None:
    """Show the runs below `root`, which the user calls `name`, until Ctrl-C; `started` is told the address.

    Raises UserError where that cannot be had.
    """
    import uvicorn

    from harness.view.app import make_app

    hosts = frozenset() if address.token else LOOPBACK | {address.host.strip("[]")}
    with listening.listen(address.host, address.port) as socket:
        app = Guard(make_app(root, name, lambda: running.should_exit), hosts, address.token)
        settings = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http=cast(Any, GuardedConnection),
            limit_concurrency=CONNECTIONS,
            server_header=False,
            timeout_graceful_shutdown=STOP_S,
        )
        running = uvicorn.Server(settings)
        started(f"{listening.url(socket)}/{address.token}{'/' if address.token else ''}")
        try:
            running.run(sockets=[socket])
        except KeyboardInterrupt:  # the server has ended by then
            return
