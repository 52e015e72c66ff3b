"""The command view: runs watched in a browser."""

from pathlib import Path

import click

from harness.cli.options import echo, local_path
from harness.errors import ConfigError
from harness.listening import is_loopback


@click.command("view")
@click.argument("folder", required=False, callback=local_path)
@click.option(
    "--host", default="127.0.0.1", help="The address to listen on; others than this machine need a token."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8765, help="0: one that is free.")
@click.option(
    "--token", is_flag=True, help="Ask for a token on this machine too. Elsewhere there always is one."
)
def view_command(folder: Path | None, host: str, port: int, token: bool) -> None:
    """Watch the runs below a folder (default: results/runs) in a browser: progress, cost, faults, samples.

    Read-only, two runs side by side, links to reports and comparisons. Ctrl-C ends it.
    """
    from harness.runs.run import RUNS
    from harness.view import server

    folder = folder or RUNS
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is a file: give a folder that holds runs")
    asked = token or not is_loopback(host)
    address = server.Address(host, port, server.new_token() if asked else "")
    server.serve(folder, address, lambda url: echo(f"watching {folder}: {url} (Ctrl-C ends it)"))
