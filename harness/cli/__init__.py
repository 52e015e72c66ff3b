"""The command line: parse, open, call one function, print. Only this package prints, reads the environment and exits.

Exit codes: 0 fine, 1 regression, 2 the user's mistake, 3 infrastructure fault, 4 not comparable. Only click is
imported up here, so that `harness --help` is instant.

    quickstart    everything at once, offline
    evaluate      run, score, merge, prefer
    train         train
    classifier    train-classifier
    results       report, compare, gate
    leaderboard   leaderboard
    view          view
    audit         audit
    interop       export, import, track
    tasks         tasks
    data          data
    cache         cache
    serve         serve
    doctor        doctor
    env           env
    options       shared by the commands: options, flags -> config, showing a run
"""

import gc
import os
import sys
from collections.abc import Mapping
from importlib import import_module

import click

from harness import __version__
from harness.errors import HarnessError, missing_extra
from harness.runs.store.remote import RemoteRuns

# Each command's module in this package and its name there. A module is imported when its command is called or listed.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "quickstart": ("quickstart", "quickstart"),
    "run": ("evaluate", "run"),
    "score": ("evaluate", "score"),
    "merge": ("evaluate", "merge_command"),
    "prefer": ("evaluate", "prefer_command"),
    "train": ("train", "train"),
    "train-classifier": ("classifier", "train_classifier_command"),
    "report": ("results", "report"),
    "leaderboard": ("leaderboard", "leaderboard_command"),
    "view": ("view", "view_command"),
    "compare": ("results", "compare_command"),
    "gate": ("results", "gate_command"),
    "audit": ("audit", "audit_command"),
    "export": ("interop", "export_command"),
    "import": ("interop", "import_command"),
    "track": ("interop", "track_command"),
    "tasks": ("tasks", "tasks_command"),
    "data": ("data", "data_command"),
    "cache": ("cache", "cache_command"),
    "serve": ("serve", "serve_command"),
    "doctor": ("doctor", "doctor"),
    "env": ("env", "env_command"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"harness.cli.{module}"), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Evaluate code language models: sandboxed pass@k, text metrics, intervals on every number."""


def main() -> None:
    """The entry point: every expected error is one line on standard error and its own exit code."""
    # What imports make stays: looking for garbage there takes a tenth of a short command.
    gc.set_threshold(10_000)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns about forks otherwise
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray started here sends no usage statistics
    os.environ.pop(
        "MPLBACKEND", None
    )  # a notebook's, which its other environments lack; figures need none here
    remote_runs = RemoteRuns()
    try:
        with remote_runs:
            code = cli(prog_name="harness", standalone_mode=False, obj=remote_runs)
    except HarnessError as error:
        click.echo(f"error: {remote_runs.display_path(str(error))}", err=True)
        code = error.exit_code
    except ImportError as error:
        if (missing := missing_extra(error)) is None:
            raise
        click.echo(f"error: {missing}", err=True)
        code = missing.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.UsageError as error:
        click.echo(f"error: {error.format_message()}", err=True)
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Rerun the same command to resume.", err=True)
        code = 130
    sys.exit(code)
