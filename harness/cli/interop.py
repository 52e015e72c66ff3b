"""The commands that exchange results with other tools: export, import, track (MLflow, Weights & Biases)."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.options import check_writable, local_path
from harness.cli.output import quiet_option
from harness.results.interop import FORMATS


@click.command("export")
@click.argument("run", callback=local_path)
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(FORMATS),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A file; for lm-eval and every-eval-ever a folder.",
)
@click.option(
    "--model",
    default="",
    metavar="DEVELOPER/MODEL",
    help="Its name for every-eval-ever and model-index, if not the run's.",
)
@quiet_option
def export_command(run: Path, form: str, out: Path, model: str) -> None:
    """Write a run in another tool's format: its samples, which 'harness score' reads back, a log for 'inspect view', or
    its numbers for a model's page on the hub (.eval_results/NAME.yaml, README.md)."""
    from harness.results.interop import export
    from harness.runs.store import reader

    if form not in (*export.FOLDERS, "eval-results"):
        check_writable(out, "--out")
    for path in export.export(reader.read(run), form, out, model):
        click.echo(f"wrote {path}")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The folder to write to."
)
@quiet_option
def import_command(files: Sequence[Path], out: Path) -> None:
    """Import results of lm-evaluation-harness, Inspect, EvalPlus, BigCodeBench, human-eval, MultiPL-E, LiveCodeBench,
    Every Eval Ever or a model's page on the hub: to compare results of the same tool, to show them on a leaderboard of
    DIR, and to judge their completions with 'harness score'."""
    from harness.results import external
    from harness.results.interop import export, readers
    from harness.runs.store.atomic import make_folder, write_atomic

    read = [found for file in files for found in readers.read_results(file)]
    make_folder(out)
    taken: list[str] = []
    for one, completions in read:
        taken.append(readers.file_stem(one, out, taken))
        path = out / (taken[-1] + external.SUFFIX)
        write_atomic(path, one.model_dump_json(indent=1) + "\n")
        items = f"{len(one.items)} items" if one.items else f"totals only: {one.no_items}"
        click.echo(f"wrote {path}: {one.label}, {one.task}, {one.model}, {len(one.metrics)} metrics, {items}")
        if completions:
            completions_file = out / f"{taken[-1]}.completions.jsonl"
            export.write_lines(completions_file, completions)
            click.echo(f"wrote {completions_file}: {len(completions)} completions")


@click.command("track")
@click.argument("runs", nargs=-1, required=True, callback=local_path)
@click.option("--to", "tracker", required=True, type=click.Choice(["mlflow", "wandb"]))
@click.option(
    "--project",
    default="",
    metavar="NAME",
    help="MLflow's experiment or W&B's project; default: what their own settings say.",
)
@click.option("--samples", is_flag=True, help="Also send every prompt, completion and verdict.")
@quiet_option
def track_command(runs: Sequence[Path], tracker: str, project: str, samples: bool) -> None:
    """Log finished runs (or folders of them) to MLflow or Weights & Biases, each run once."""
    from harness.results.interop import trackers
    from harness.runs.store import reader

    for folder in reader.find_runs(runs):
        one = trackers.tracked_run(reader.read(folder))
        click.echo(trackers.send(tracker, one, project, samples))  # type: ignore[arg-type]
