"""The command cache: what the answer store holds, and how to empty it."""

from pathlib import Path

import click

from harness.cli.options import answers_file


@click.command("cache")
@click.option("--clear", is_flag=True, help="Forget all answers.")
def cache_command(clear: bool) -> None:
    """What the answer store holds: completions that runs made, for others that ask exactly the same."""
    from harness.backends import completion_cache

    file = answers_file()
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
            f"{count:>9,} answers  {size / 1e6:>9,.1f} MB  {', '.join(part for part in parts if part)}"
        )
    click.echo(
        f"{_size(file) / 1e6:,.1f} MB in {file}; at most {completion_cache.LARGEST / 1e6:,.0f}, then the oldest go"
    )


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0
