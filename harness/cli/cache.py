"""The command cache: what the completion cache holds, and emptying it."""

import os
from pathlib import Path

import click


@click.command("cache")
@click.option("--clear", is_flag=True, help="Delete all cached completions.")
def cache_command(clear: bool) -> None:
    """Show the completion cache: completions of earlier runs, reused by runs that make exactly the same request."""
    from harness.backends import completion_cache
    from harness.config import load

    file = load.cache_folder(os.environ) / load.COMPLETIONS
    if clear:
        completion_cache.clear(file)
    held = completion_cache.contents(file)
    for identity, count, size in held:
        backend = identity["backend"]
        parts = [backend.get("model", f"weights {backend['weights'][:12]}"), backend.get("dtype", "")]
        if adapter := backend.get("adapter"):
            parts.append(f"adapter {adapter[:12]}")
        parts.append(backend["engine"])
        click.echo(
            f"{count:>9,} completions  {size / 1e6:>9,.1f} MB  {', '.join(part for part in parts if part)}"
        )
    click.echo(
        f"{_size(file) / 1e6:,.1f} MB in {file}; limit {completion_cache.MAX_BYTES / 1e6:,.0f} MB, oldest deleted first"
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
