"""The command train-classifier: the judge of style that `[style]` and `[watch]` name."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.options import echo
from harness.errors import ConfigError


@click.command("train-classifier")
@click.option(
    "--class",
    "classes",
    multiple=True,
    metavar="NAME=SOURCE",
    help="A class and its texts: a run's folder, a file of JSON lines, or task:NAME[:SPLIT]. Twice or more.",
)
@click.option(
    "--encoder", default="", metavar="M", help="Fine-tune this model; without, regression on n-grams."
)
@click.option("--half", is_flag=True, help="Keep the encoder's weights as float16.")
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help="Passes over the texts: 30, or 3 of an encoder."
)
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    default=128,
    metavar="N",
    help="Tokens of a text that an encoder reads.",
)
@click.option("--seed", type=int, default=0, metavar="N", help="Draws what is held out, and the batches.")
@click.option("--data", metavar="DIR", help="Benchmark files, or 'mini'. [HARNESS_DATA]")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The classifier's folder."
)
def train_classifier_command(
    classes: Sequence[str], out: Path, data: str | None, epochs: int | None, **more: Any
) -> None:
    """Train a classifier that tells whose style a text has: a judge for 'style' and for watching a training."""
    from harness.runs import progress
    from harness.training.style.classifier import ClassifierConfig, train_classifier

    named: dict[str, str] = {}
    for each in classes:
        name, sign, source = each.partition("=")
        if not (name and sign and source) or name in named:
            raise ConfigError(f"--class {each!r}: expected NAME=SOURCE, with another name each time")
        named[name] = source
    config = ClassifierConfig(
        classes=named, data=data or os.environ.get("HARNESS_DATA"), epochs=epochs or 0, **more
    )
    with progress.show(sys.stderr) as step:
        record = train_classifier(config, out, step)
    show_classifier(out, record)


def show_classifier(folder: Path, record: dict[str, Any]) -> None:
    report = record["report"]
    auc = "" if report["auc"] is None else f", AUC {report['auc']:.3f}"
    echo(
        f"accuracy {100 * report['accuracy']:.1f} % [{100 * report['low']:.1f}, {100 * report['high']:.1f}] on"
        f" {report['n']} texts held out (majority {100 * report['majority']:.1f} %), loss {report['loss']:.3f}{auc}"
    )
    echo(f"saved: {folder} ({record['kind']}, {record['parameter_bytes'] / 1e6:.1f} MB of parameters)")
