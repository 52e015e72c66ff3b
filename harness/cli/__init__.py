"""The command line: parse, open, call one function, print. Sole owner of print, environment and exit codes.

Exit codes: 0 fine, 1 regression, 2 the user's mistake, 3 infrastructure fault, 4 not comparable. Only click is
imported up here, so that `harness --help` is instant.

    quickstart    everything at once, offline
    evaluate      run, score, merge, judge
    training      train
    reading       report, leaderboard, compare, gate
    exchange      export, import, log
    rows          tasks, data
    cache         cache
    doctor        doctor
    shared        options, flags -> config, what is shown of a run
"""

import os
import sys

import click

from harness import __version__
from harness.cli import cache, data, doctor, evaluate, interop, quickstart, results, train
from harness.errors import HarnessError
from harness.runs.store.remote import Images


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Evaluate code language models: sandboxed pass@k, text metrics, intervals on every number."""


for command in (
    quickstart.quickstart,
    evaluate.run,
    evaluate.score,
    evaluate.merge_command,
    evaluate.judge,
    train.train,
    results.report,
    results.leaderboard_command,
    results.compare_command,
    results.gate_command,
    interop.export_command,
    interop.import_command,
    interop.log_command,
    data.tasks_command,
    data.data_command,
    cache.cache_command,
    doctor.doctor,
):
    cli.add_command(command)


def main() -> None:
    """The entry point: every expected error is one line on standard error and its own exit code."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # forks follow; the tokenizer warns otherwise
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a Ray that is started here reports to nobody
    images = Images()
    try:
        with images:
            code = cli(prog_name="harness", standalone_mode=False, obj=images)
    except HarnessError as error:
        click.echo(f"error: {images.spoken(str(error))}", err=True)
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        code = 2
    except click.UsageError as error:
        click.echo(f"error: {error.format_message()}", err=True)
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; the same command goes on from here", err=True)
        code = 130
    sys.exit(code)
