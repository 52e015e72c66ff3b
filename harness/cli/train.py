"""The command train: one adapter, a full fine-tune, or a grid of them."""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.options import set_dotted, sets_option
from harness.errors import UserError

FLAG_KEYS = {"epochs": "optim.epochs"}


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--model", metavar="M", help="The base model: a folder or hub id.")
@click.option("--revision", metavar="COMMIT", help="The hub model's commit.")
@click.option(
    "--method",
    metavar="NAME",
    help="lora, dora, ia3, prompt, prefix, p-tuning, qlora-8bit, qlora-4bit, full.",
)
@click.option("--task", metavar="T", help="Train on a benchmark's train split.")
@click.option("--file", metavar="FILE", help="Train on a file of JSON lines.")
@click.option("--epochs", type=float, metavar="N", help="Passes over the rows, at most.")
@click.option("--data", metavar="DIR", help="Benchmark files, or 'mini'. [HARNESS_DATA]")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="The adapter's own folder.")
@sets_option
def train(config: Path | None, out: Path | None, data: str | None, sets: Sequence[str], **flags: Any) -> None:
    """Train an adapter, or the whole model. Rerun the same command to resume a training that was interrupted."""
    from harness.config.load import apply_sets, read_toml
    from harness.runs import progress
    from harness.training import grid, run, study

    plain = read_toml(config) if config else {}
    set_dotted(plain, {FLAG_KEYS.get(k, k): v for k, v in flags.items() if k not in ("task", "file")})
    set_dotted(plain, {"data_folder": data})
    if given := os.environ.get("HARNESS_DATA"):
        plain.setdefault("data_folder", given)
    if rows := {k: flags[k] for k in ("task", "file") if flags[k]}:
        plain["data"] = [rows]
    axes = {
        key for axis in plain.get("matrix", {}).values() for v in axis if isinstance(v, dict) for key in v
    }
    for key, fix in (("model", "--model FOLDER_OR_HUB_ID"), ("data", "--task NAME or --file FILE")):
        if key not in plain and key not in {*plain.get("matrix", {}), *axes}:
            raise UserError(f"no {key} given: pass {fix}, or {key!r} in a config file")
    cells = grid.expand(apply_sets(plain, sets), str(config or "flags"))
    first = os.environ.get("RANK", "0") == "0"  # set by torchrun and other launchers
    with progress.show(sys.stderr if first else io.StringIO()) as step:
        for cell in cells:
            if len(cells) > 1 and "RANK" not in os.environ:  # so that each has a peak of memory of its own
                folder = run.default_folder(cell, out)
                result = study.train_in_process(cell, folder, step)
            else:
                folder, result = run.train(
                    cell, out if len(cells) == 1 else run.default_folder(cell, out), step
                )
            if first:
                show_training(folder, result)


def show_training(folder: Path, result: dict[str, Any]) -> None:
    parameters, losses = result["parameters"], result["losses"]
    click.echo(
        f"trained {parameters['trainable']:,} of {parameters['all']:,} parameters ({100 * parameters['share']:.2f} %),"
        f" {result['steps']} steps, {result['tokens']['real']:,} tokens, {result['seconds']:.0f} s,"
        f" peak {max(result['peak_mb'].values()):,.0f} MB"
    )
    if "eval_final" in losses:
        click.echo(
            f"validation loss {losses['eval_initial']:.4f} before, {losses['eval_final']:.4f} at step"
            f" {losses['best_step']}, which was saved"
        )
    if "style" in losses:
        before, after = losses["style"][0], losses["style"][-1]
        click.echo(
            f"style: told apart {_accuracy(before)} before, {_accuracy(after)} at step {after['step']}"
        )
    click.echo(f"saved: {folder}")


def _accuracy(point: dict[str, float]) -> str:
    """The judge's accuracy with its interval."""
    from harness.stats.intervals import wilson

    low, high = wilson(round(point["accuracy"] * point["n"]), int(point["n"]))
    return f"{100 * point['accuracy']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
