"""The command view: runs watched in a browser."""

from pathlib import Path

import click

from harness.errors import ConfigError
from harness.listening import is_loopback


@click.command("view")
@click.argument("folder", required=False)
@click.option(
    "--host", default="127.0.0.1", help="The address to listen on; others than this machine need a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="0: one that is free.")
@click.option(
    "--token", is_flag=True, help="Ask for a token on this machine too. Elsewhere there always is one."
)
def view_command(folder: str | None, host: str, port: int, token: bool) -> None:
    """Watch the runs below a folder or URL (default: results/runs) in a browser: progress, cost, faults, samples.

    Read-only, two runs side by side, links to reports and comparisons. Ctrl-C ends it.
    """
    from harness.runs.run import RUNS
    from harness.runs.store.mirror import Mirror
    from harness.runs.store.remote import is_url
    from harness.view import server

    place = folder or str(RUNS)
    asked = token or not is_loopback(host)
    address = server.Address(host, port, server.new_token() if asked else "")

    def started(url: str) -> None:
        click.echo(f"watching {place}: {url} (Ctrl-C ends it)")

    if is_url(place):
        with Mirror(place) as mirror:
            server.serve(mirror.local, place, address, started)
        return
    path = Path(place.removeprefix("file://"))
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{str(path)!r} is a file: give a folder that holds runs")
    server.serve(path, place, address, started)
