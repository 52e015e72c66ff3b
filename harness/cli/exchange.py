"""The commands between this harness and other tools: export (files in their forms), log (to experiment trackers)."""

from collections.abc import Sequence
from pathlib import Path

import click

from harness.cli.shared import writable


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["lm-eval", "human-eval", "evalplus", "bigcode", "parquet"]),
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="PATH", help="A folder for lm-eval."
)
def export_command(run: Path, form: str, out: Path) -> None:
    """A run's samples in another tool's form; 'harness score' reads these back."""
    from harness import export, results

    if form != "lm-eval":
        writable(out, "--out")
    for path in export.export(results.read(run), form, out):
        click.echo(f"wrote {path}")


@click.command("log")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "tracker", required=True, type=click.Choice(["mlflow", "wandb"]))
@click.option(
    "--project",
    default="",
    metavar="NAME",
    help="MLflow's experiment or W&B's project; else as they are set.",
)
@click.option("--samples", is_flag=True, help="Every prompt, completion and verdict too.")
def log_command(runs: Sequence[Path], tracker: str, project: str, samples: bool) -> None:
    """Tell MLflow or Weights & Biases of finished runs (or folders of them); once each, however often it is called."""
    from harness import results, tracking

    for folder in results.find(runs):
        one = tracking.entry(results.read(folder))
        click.echo(tracking.send(tracker, one, project, samples))  # type: ignore[arg-type]
