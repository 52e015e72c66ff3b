"""The command audit: how much a run's number hangs on how its completions were read."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.options import data_option, local_path, workers_option
from harness.cli.output import json_option, print_json, quiet_option, show_progress


@click.command("audit")
@click.argument("run", callback=local_path)
@click.option(
    "--extract", "extractors", multiple=True, metavar="NAME", help="One more extractor; repeatable."
)
@click.option("--metric", default="", metavar="NAME", help="Default: the run's first.")
@click.option("--flips", "shown", default=3, metavar="N", help="Flipped samples of each extractor to show.")
@click.option("--python", default="", metavar="PATH", help="The run's judge.python, if it had one.")
@json_option
@data_option
@workers_option
@quiet_option
def audit_command(run: Path, as_json: bool, **options: Any) -> None:
    """Read a run's completions by every other plausible extractor, judge what differs, and show which samples flip.

    No model needed. The result is kept in the run's folder (audit.json).
    """
    from harness.results.audit import audit, report

    with show_progress() as step:
        found = audit.audit(run, audit.AuditOptions(**options), step)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        click.echo(report.render(found).rstrip("\n"))
    if found.faults:
        click.echo(
            f"error: {found.faults} answers could not be judged (a fault of the sandbox, not of the model);"
            " rerun the same command to retry",
            err=True,
        )
        sys.exit(3)
