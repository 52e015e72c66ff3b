"""The command line: parse, open, call one function, print. Only this package prints, reads the environment and exits.

Exit codes: 0 fine, 1 regression, 2 the user's mistake, 3 infrastructure fault, 4 not comparable. Only click is
imported up here, so that `harness --help` is instant.

    quickstart    everything at once, offline
    evaluate      run, score, merge, prefer
    train         train
    results       report, leaderboard, compare, gate
    audit         audit
    interop       export, import, track
    data          tasks, data
    cache         cache
    doctor        doctor
    options       shared by the commands: options, flags -> config, showing a run
"""

import os
import sys

import click

from harness import __version__
from harness.cli import audit, cache, data, doctor, evaluate, interop, quickstart, results, train
from harness.errors import HarnessError, missing_extra
from harness.runs.store.remote import RemoteRuns


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Evaluate code language models: sandboxed pass@k, text metrics, intervals on every number."""


for command in (
    quickstart.quickstart,
    evaluate.run,
    evaluate.score,
    evaluate.merge_command,
    evaluate.prefer_command,
    train.train,
    results.report,
    results.leaderboard_command,
    results.compare_command,
    results.gate_command,
    audit.audit_command,
    interop.export_command,
    interop.import_command,
    interop.track_command,
    data.tasks_command,
    data.data_command,
    cache.cache_command,
    doctor.doctor,
):
    cli.add_command(command)


def main() -> None:
    """The entry point: every expected error is one line on standard error and its own exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns about forks otherwise
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray started here sends no usage statistics
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
