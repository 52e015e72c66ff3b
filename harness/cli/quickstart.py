"""The command quickstart: the embedded model on the embedded tasks, also with an adapter trained on the spot."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.options import out_option, run_config, set_dotted, show_runs, workers_option
from harness.cli.train import show_training


@click.command()
@click.option(
    "--train/--no-train", "trains", default=True, help="Train a LoRA adapter live (about a minute)."
)
@out_option
@workers_option
def quickstart(out: Path | None, workers: int | None, trains: bool) -> None:
    """Evaluate the embedded demo model on the embedded mini tasks, offline: zero-shot, with examples in the prompt, and
    with an adapter trained on the spot."""
    from harness.files import packaged
    from harness.results import compare
    from harness.results.report import comparison
    from harness.runs.store import reader

    root = packaged("tasks")
    model = root / "demo" / "model"
    adapter = train_adapter(root, model, out) if trains else ""
    cells = [("humaneval", "none", ""), *(("conala", shots, "") for shots in ("none", "icl:4", "rag:4"))]
    cells += [("conala", shots, adapter) for shots in ("none", "rag:4") if adapter]
    folders: list[Path] = []
    for name, shots, adapter_path in cells:
        plain: dict[str, Any] = {
            "task": name,
            "data": "mini",
            "shots": shots,
            "retrieval": {"encoder": "mini"},
            "backend": {"model": str(model), "dtype": "float32", "adapter": adapter_path},
        }
        set_dotted(plain, {"judge.workers": workers})
        parts = (name, "lora" if adapter_path else "", "" if shots == "none" else shots.replace(":", ""))
        label = "-".join(part for part in parts if part)
        folders.append(run_config(plain, out / label if out else None)[0])
    show_runs(folders)
    found = compare.compare([reader.read(folder) for folder in folders[1:]], ("em@1",))
    click.echo(comparison.render(found, [], 0), nl=False)


TRAINING_OVERRIDES: tuple[str, ...] = ()  # overrides of the recipe, for tests


def train_adapter(root: Path, model: Path, out: Path | None) -> str:
    """Train the quickstart adapter and return its folder."""
    from harness.config.load import apply_sets, read_toml
    from harness.runs import progress
    from harness.training import grid, run

    plain = {**read_toml(root / "recipes" / "quickstart.toml"), "model": str(model), "data_folder": "mini"}
    (config,) = grid.expand(apply_sets(plain, TRAINING_OVERRIDES), "quickstart.toml")
    with progress.show(sys.stderr) as step:
        folder, result = run.train(config, out / "lora" if out else None, step)
    show_training(folder, result)
    return str(folder)
