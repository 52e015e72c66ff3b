"""What commands that read results print: `--json`, `--quiet`, and progress where it is wanted.

With --quiet nothing but errors, warnings and what was asked for in a format (`--json`); the exit code says the rest.
"""

import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from harness.runs.plan import Progress

_STDOUT = "harness.stdout"  # in click's meta: where results go while the rest goes nowhere

json_option = click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, and no text.")


def quiet_option(command: Any) -> Any:
    """Add --quiet. The lowest of a command's decorators, for it wraps the function itself."""

    @wraps(command)
    def quietly(*, quiet: bool, **flags: Any) -> Any:
        if not quiet:
            return command(**flags)
        click.get_current_context().meta[_STDOUT] = sys.stdout
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            return command(**flags)

    option = click.option(
        "--quiet", "-q", is_flag=True, help="No text and no progress: the exit code says it."
    )
    return option(quietly)


def print_result(text: str) -> None:
    """Print what was asked for, whole lines, also with --quiet."""
    click.echo(text, nl=False, file=click.get_current_context().meta.get(_STDOUT))


def print_json(value: Any) -> None:
    print_result(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def show_progress() -> "AbstractContextManager[Progress]":
    from harness.runs import plan, progress

    if _STDOUT in click.get_current_context().meta:
        return nullcontext(plan.no_progress)
    return progress.show(sys.stderr)
