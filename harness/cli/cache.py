"""The command cache: what the completion cache holds, and emptying it in part or whole."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

SHOWN = 12  # characters of a digest
MIN_DIGEST = 4  # characters of one that --drop takes


@click.command("cache")
@click.option("--clear", is_flag=True, help="Delete all cached completions.")
@click.option(
    "--drop",
    metavar="old|DIGEST",
    help="Delete those that no run of this version reuses (old), or those of a model or adapter: by the beginning of a"
    " digest of its weights, its adapter or of what was loaded, as shown.",
)
def cache_command(clear: bool, drop: str | None) -> None:
    """Show the completion cache: completions of earlier runs, reused by runs that make exactly the same request."""
    from harness.backends import completion_cache
    from harness.config import load

    file = load.cache_folder(os.environ) / load.COMPLETIONS
    if clear:
        completion_cache.drop(file, lambda identity: True)
    if drop is not None:
        click.echo(f"{_drop(file, drop):,} completions deleted")
    held = completion_cache.contents(file)
    for identity, count, size in held:
        click.echo(f"{count:>9,} completions  {size / 1e6:>9,.1f} MB  {_describe(identity)}")
    if any(completion_cache.outdated(identity) for identity, _, _ in held):
        click.echo("old: no run of this version reuses them; harness cache --drop old deletes them")
    click.echo(
        f"{_size(file) / 1e6:,.1f} MB in {file}; limit {completion_cache.MAX_BYTES / 1e6:,.0f} MB, oldest deleted first"
    )


def _drop(file: Path, which: str) -> int:
    from harness.backends import completion_cache
    from harness.errors import UserError

    if which == "old":
        return completion_cache.drop(file, completion_cache.outdated)
    if len(which) < MIN_DIGEST:
        raise UserError(f"--drop {which}: expected old, or at least {MIN_DIGEST} characters of a digest")
    return completion_cache.drop(
        file,
        lambda identity: any(digest.startswith(which) for digest in completion_cache.digests(identity)),
    )


def _describe(identity: Mapping[str, Any]) -> str:
    from harness.backends import completion_cache

    backend = identity["backend"]
    parts = [backend.get("model", f"weights {backend['weights'][:SHOWN]}")]
    parts += [f"{name} {backend[name][:SHOWN]}" for name in ("adapter", "loaded") if backend.get(name)]
    parts += [backend.get("dtype", ""), backend["engine"]]
    if completion_cache.outdated(identity):
        parts.append("old")
    return ", ".join(part for part in parts if part)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
