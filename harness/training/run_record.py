"""What a training leaves on disk besides the weights: train.json, the loss curve as a picture, a model card.

train.json says what was asked and what came of it; no number in it decides anything later, except the digests
of base and tokenizer, with which evaluation notices an adapter on the wrong base.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import environment
from harness.errors import StoreFault, UserError
from harness.runs.store.atomic import write_atomic
from harness.training.config import TrainConfig
from harness.training.identity import config_hash

FILE = "train.json"
LOCK = ".lock"


def read_record(folder: Path) -> dict[str, Any] | None:
    """The folder's train.json; None where there is none. Raises StoreFault when it is not one of ours."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreFault(f"{folder / FILE} cannot be read: {error}") from None
    if not isinstance(found, dict) or "config_hash" not in found:
        raise StoreFault(f"{folder / FILE} is no record of a training")
    return found


def open_folder(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """Open the training's folder. Raises UserError where it holds another training, or something else."""
    found, own_hash = read_record(folder), config_hash(config)
    if found is not None:
        if found["config_hash"] != own_hash:
            raise UserError(
                f"{folder} holds a training with another config ({found['config_hash']}, this one is"
                f" {own_hash}): give another --out, or the config it was begun with"
            )
        return found
    own = {f".{FILE}.tmp", LOCK}  # all that a kill in this very function leaves
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - own):
        raise UserError(f"{folder} holds other files and no {FILE}: give --out a new or empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {str(folder)!r} cannot be made: {error.strerror}") from None
    record = {"config": config.model_dump(mode="json"), "config_hash": own_hash, "finished": False}
    write_record(folder, record)
    return record


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Locks the folder against other trainings. Raises StoreFault where another one holds it."""
    import filelock

    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise StoreFault(
            f"{folder} is being trained in by another process: wait for it, or choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    write_atomic(folder / FILE, json.dumps(record, indent=2) + "\n")


def summarize_losses(history: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Evaluation loss before the first step and of the best checkpoint; train loss as means of ten logged steps."""
    checks = [(row["step"], row["eval_loss"]) for row in history if "eval_loss" in row]
    trained = [row["loss"] for row in history if "loss" in row]
    found: dict[str, Any] = {}
    if checks:
        later = [check for check in checks if check[0] > 0] or checks
        best = min(later, key=lambda check: check[1])
        found = {"eval_initial": checks[0][1], "eval_final": best[1], "best_step": best[0]}
        found["converged"] = best[1] < checks[0][1]
    if trained:
        first, last = trained[:10], trained[-10:]
        found |= {"train_first": sum(first) / len(first), "train_last": sum(last) / len(last)}
    watched = [row for row in history if "style_loss" in row]
    if watched:
        names = ("accuracy", "loss", "style", "short", "n")
        found["style"] = [
            {"step": row["step"], **{name: row[f"style_{name}"] for name in names}} for row in watched
        ]
    return found


def plot_curve(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """curve.png: training and validation loss over the optimiser steps."""
    from matplotlib.figure import Figure

    watched = [row for row in history if "style_loss" in row]
    figure = Figure(figsize=(7, 8 if watched else 4), layout="constrained")
    axes, *below = figure.subplots(2 if watched else 1, sharex=True, squeeze=False)[:, 0]
    for panel in below:
        _plot_style(panel, watched)
    for key, label in (("loss", "training"), ("eval_loss", "validation")):
        points = [(row["step"], row[key]) for row in history if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, marker="o" if key == "eval_loss" else None)
    (below[-1] if below else axes).set_xlabel("optimiser steps")
    axes.set_ylabel("loss (nats a token)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(folder / "curve.png", dpi=120)


def _plot_style(axes: Any, points: Sequence[Mapping[str, float]]) -> None:
    """Accuracy and loss of the classifier over the same steps; 0.5 is chance."""
    steps = [row["step"] for row in points]
    for key, label in (("style_accuracy", "accuracy"), ("style_style", "style score")):
        axes.plot(steps, [row[key] for row in points], marker="o", label=label)
    axes.axhline(0.5, color="grey", linestyle=":")
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("the classifier's accuracy, P(label)")
    other = axes.twinx()
    other.plot(steps, [row["style_loss"] for row in points], marker="s", color="tab:red", label="loss")
    other.set_ylim(bottom=0)
    other.set_ylabel("the classifier's loss (nats)")
    lines = [*axes.get_lines()[:2], *other.get_lines()]
    axes.legend(lines, [line.get_label() for line in lines])
    axes.grid(alpha=0.3)


def peak_mb() -> dict[str, float]:
    """Peak memory so far: the process's resident set, and what torch allocated on a GPU."""
    import torch

    found = {"process": _resident_peak_mb()}
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.max_memory_allocated() / 2**20
    return {name: round(value, 1) for name, value in found.items()}


def _resident_peak_mb() -> float:
    """Of this program alone: getrusage's figure holds that of the process which started it, where that is larger."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        (line,) = (line for line in status.split("\n") if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    except (OSError, ValueError):  # no Linux
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def environment_record() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    here = environment.here()
    for name in ("accelerate", "bitsandbytes"):
        try:
            here["versions"][name] = version(name)
        except PackageNotFoundError:
            here["versions"][name] = "not installed"
    return here
