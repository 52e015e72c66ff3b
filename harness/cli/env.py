"""The command env: builds a benchmark's environment, proves it, and locks what was found out."""

import sys
from collections import Counter
from pathlib import Path

import click

from harness.cli.options import data_option
from harness.cli.output import quiet_option, show_progress


@click.command("env")
@click.argument("name")
@click.option("--into", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="[.NAME-env]")
@click.option(
    "--lock",
    "lock_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Somebody's lock: install its versions and exclude its rows.",
)
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(1), help="Runs of a reference.")
@data_option
@quiet_option
def env_command(name: str, into: Path | None, lock_file: Path | None, rounds: int, data: str | None) -> None:
    """Build the environment that the task NAME is judged in, with the benchmark's own library versions.

    All references are run in it; those that fail or are unreliable on this machine go into its lock and are left out of
    every run that is judged there.
    """
    from harness.runs.environments import build, lock

    folder = into or Path(f".{name}-env")
    given = lock.load(lock_file) if lock_file else None
    with show_progress() as step:
        built = build.build(name, folder, data, given, rounds, step)
    made = built.lock
    for pin, why in made.refused.items():
        click.echo(f"not installed: {pin}: {why}")
    for why, count in Counter(why.split(" (")[0][:100] for why in made.excluded.values()).most_common(8):
        click.echo(f"{count:5} excluded: {why}")
    for problem, why in built.differing.items():
        click.echo(f"the lock trusts {problem}, which fails here: {why}")
    click.echo(
        f"{made.references} references, {made.references - len(made.excluded)} to be judged, {len(made.excluded)}"
        f" excluded; lock {made.digest[:8]} in {built.path}"
    )
    click.echo(f"judge with: --set judge.python={folder}/bin/python")
    if built.differing:
        sys.exit(3)
