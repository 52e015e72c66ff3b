"""The command cache: what the caches of completions, verdicts and references hold, and emptying them."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from harness.cli.output import json_option, print_json, quiet_option

SHOWN = 12  # characters of a digest
MIN_DIGEST = 4  # characters of one that --drop takes


@dataclass(frozen=True)
class _Cache:
    """`noun`: what is in it. The functions are of an identity; `digests` are those by which --drop knows it."""

    noun: str
    file: Path
    max_bytes: int
    outdated: Callable[[Mapping[str, Any]], bool]
    digests: Callable[[Mapping[str, Any]], list[str]]
    describe: Callable[[Mapping[str, Any]], list[str]]


@click.command("cache")
@click.option("--clear", is_flag=True, help="Delete all cached completions, verdicts and references.")
@click.option(
    "--drop",
    metavar="old|DIGEST",
    help="Delete those that no run of this version reuses (old), or those of a model, adapter or judge: by the"
    " beginning of a digest of its weights, its adapter, of what was loaded or of the judge, as shown.",
)
@json_option
@quiet_option
def cache_command(clear: bool, drop: str | None, as_json: bool) -> None:
    """Show the caches: completions, verdicts and what references said in earlier runs, reused where exactly the same is
    asked again.
    """
    from harness.files import cache_file

    caches = _caches()
    if clear:
        for cache in caches:
            cache_file.drop(cache.file, lambda identity: True)
    if drop is not None:
        dropped = [f"{cache_file.drop(cache.file, _wanted(cache, drop)):,} {cache.noun}" for cache in caches]
        if not as_json:
            click.echo(f"{', '.join(dropped[:-1])} and {dropped[-1]} deleted")
    if as_json:
        print_json([_plain(cache) for cache in caches])
        return
    any_old = False
    for cache in caches:
        for identity, count, size in cache_file.contents(cache.file):
            old = cache.outdated(identity)
            any_old = any_old or old
            said = ", ".join(filter(None, [*cache.describe(identity), "old" if old else ""]))
            click.echo(f"{count:>9,} {cache.noun:<11}  {size / 1e6:>9,.1f} MB  {said}")
    if any_old:
        click.echo("old: no run of this version reuses them; harness cache --drop old deletes them")
    for cache in caches:
        size = cache.file.stat().st_size if cache.file.is_file() else 0
        limit = f"limit {cache.max_bytes / 1e6:,.0f} MB, oldest deleted first"
        click.echo(f"{size / 1e6:,.1f} MB in {cache.file}; {limit}")


def _caches() -> tuple[_Cache, ...]:
    from harness.backends import completion_cache
    from harness.config import load, run
    from harness.files import cache_file
    from harness.sandbox import references, verdict_cache

    folder = load.cache_folder(os.environ)
    return (
        _Cache(
            "completions",
            folder / load.COMPLETIONS,
            cache_file.MAX_BYTES,
            completion_cache.outdated,
            completion_cache.digests,
            _describe_model,
        ),
        _Cache(
            "verdicts",
            folder / run.VERDICTS,
            verdict_cache.MAX_BYTES,
            verdict_cache.outdated,
            verdict_cache.digests,
            _describe_judge,
        ),
        _Cache(
            "references",
            folder / run.REFERENCES,
            references.MAX_BYTES,
            verdict_cache.outdated,
            verdict_cache.digests,
            _describe_references,
        ),
    )


def _plain(cache: _Cache) -> dict[str, Any]:
    from harness.files import cache_file

    entries = [
        {
            "count": count,
            "bytes": size,
            "old": cache.outdated(identity),
            "about": list(filter(None, cache.describe(identity))),
        }
        for identity, count, size in cache_file.contents(cache.file)
    ]
    size = cache.file.stat().st_size if cache.file.is_file() else 0
    return {
        "holds": cache.noun,
        "file": str(cache.file),
        "bytes": size,
        "max_bytes": cache.max_bytes,
        "entries": entries,
    }


def _wanted(cache: _Cache, which: str) -> Callable[[Mapping[str, Any]], bool]:
    from harness.errors import UserError

    if which == "old":
        return cache.outdated
    if len(which) < MIN_DIGEST:
        raise UserError(f"--drop {which}: expected old, or at least {MIN_DIGEST} characters of a digest")
    return lambda identity: any(digest.startswith(which) for digest in cache.digests(identity))


def _describe_model(identity: Mapping[str, Any]) -> list[str]:
    backend = identity["backend"]
    parts = [backend.get("model", f"weights {backend['weights'][:SHOWN]}")]
    parts += [f"{name} {backend[name][:SHOWN]}" for name in ("adapter", "loaded") if backend.get(name)]
    return [*parts, backend.get("dtype", ""), backend["engine"]]


def _describe_judge(identity: Mapping[str, Any]) -> list[str]:
    from harness.sandbox import verdict_cache

    parts = [
        f"judge {verdict_cache.digests(identity)[0][:SHOWN]}",
        f"{identity['language']} {identity['version']}",
        identity.get("isolation", ""),  # an older version's entries have none
    ]
    parts += [f"{len(identity['packages'])} packages" if identity["packages"] else ""]
    return [*parts, *(f"{name} {identity[name]:g}" for name in ("time_limit", "memory_mb") if identity[name])]


def _describe_references(identity: Mapping[str, Any]) -> list[str]:
    from harness.sandbox import verdict_cache

    packages = f"{len(identity['packages'])} packages" if identity["packages"] else ""
    digest = verdict_cache.digests(identity)[0][:SHOWN]
    return [f"tests' references {digest}", f"python {identity['version']}", packages, identity["processor"]]
