"""A study that trains what it evaluates: its [train] section, and cells whose adapter is the name of a training.

    [train]                    a training config; `model` and `data_folder` are those of the cell, unless given
    [train.matrix]             axes of trainings: methods, losses, seeds
    [matrix]
    adapter = ["train:lora", "train:loss.balance=task_token"]

A name is a training's `name` or method, or KEY=VALUE of its config, or several of these with commas between. Of several
trainings that a name fits, the one with the cell's seed is meant, then the one on the cell's task.

    assign(cells, train)  ->  Assigned      cells with folders in place of names, and the trainings to be done
    train_missing(...)                      each in a fresh process, so that its peak of memory is its own
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.backends import hub
from harness.backends.hf import checkpoint
from harness.config.grid import Cell
from harness.config.run import RunConfig
from harness.errors import ConfigError, Fault, HarnessError, UserError
from harness.tasks.loading import data_files, registry
from harness.training import grid, run_record
from harness.training.config import TrainConfig, check
from harness.training.identity import config_hash
from harness.training.run import default_folder, train, with_method_defaults
from harness.training.style import watch

PREFIX = "train:"
QUANTIZED = {"qlora-8bit": "8bit", "qlora-4bit": "4bit"}  # the base as it was in training

Progress = Callable[[str, int, int], None]


@dataclass
class Assigned:
    """`trainings` are folder -> config, in the order in which the cells name them."""

    cells: list[Cell] = field(default_factory=list)
    trainings: dict[Path, TrainConfig] = field(default_factory=dict)


def assign(
    cells: Sequence[Cell], train: Mapping[str, Any], root: Path | None = None, where: str = "config"
) -> Assigned:
    """Give every cell that names a training its folder, below `root`. Raises ConfigError for an unclear name."""
    found = Assigned()
    templates: dict[str, list[TrainConfig]] = {}
    for cell in cells:
        name = cell.config.backend.adapter
        if not name.startswith(PREFIX):
            found.cells.append(cell)
            continue
        if not train:
            raise ConfigError(
                f"{where}, cell {cell.label}: {name!r} names a training, and there is no [train]"
            )
        plain = _with_base(train, cell.config)
        key = json.dumps(plain, sort_keys=True, default=str)
        if key not in templates:
            made = grid.expand(plain, f"{where}: train")
            templates[key] = [with_method_defaults(check(each)) for each in made]
        config = choose(templates[key], name, cell.config, f"{where}, cell {cell.label}")
        folder = default_folder(config, root)
        found.trainings[folder] = config
        found.cells.append(replace(cell, config=_with_adapter(cell.config, config, folder)))
    return found


def _with_base(train: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """The [train] section with the cell's base and data where it names none."""
    base = {"model": config.backend.model, "revision": config.backend.revision, "data_folder": config.data}
    return {**{key: value for key, value in base.items() if value is not None}, **train}


def choose(trainings: Sequence[TrainConfig], name: str, config: RunConfig, where: str) -> TrainConfig:
    """The training that a cell's name means. Raises ConfigError where it is none, or several."""
    fitting = [each for each in trainings if _fits(each, name.removeprefix(PREFIX))]
    if not fitting:
        known = ", ".join(dict.fromkeys(PREFIX + (each.name or each.method) for each in trainings))
        raise ConfigError(f"{where}: no training of [train] fits {name!r}; there are {known}")
    narrower = (
        lambda each: each.seed == config.seed,
        lambda each: (
            [(data.task, dict(data.options)) for data in each.data] == [(config.task, dict(config.options))]
        ),
        lambda each: [data.task for data in each.data] == [config.task],
    )
    for is_meant in narrower:
        if len(fitting) > 1:
            fitting = [each for each in fitting if is_meant(each)] or fitting
    if len(fitting) > 1:
        raise ConfigError(
            f"{where}: {len(fitting)} trainings of [train] fit {name!r}: add what tells them apart, for example"
            f" '{name},seed={fitting[0].seed}'"
        )
    return fitting[0]


def _fits(config: TrainConfig, name: str) -> bool:
    plain = config.model_dump(mode="json")
    for part in filter(None, name.split(",")):
        key, equals, wanted = part.strip().partition("=")
        if not equals:
            values = [config.name, config.method]
            wanted = key
        elif key == "task":
            values = [data.task for data in config.data]
        else:
            values = [str(_value_at(plain, key))]
        if wanted not in values:
            return False
    return True


def _value_at(plain: Any, key: str) -> Any:
    for part in key.split("."):
        plain = plain.get(part) if isinstance(plain, Mapping) else None
    return plain


def _with_adapter(config: RunConfig, training: TrainConfig, folder: Path) -> RunConfig:
    """The cell's config with what was trained: an adapter on the base as it was in training, or a whole model."""
    if training.method == "full":
        changed: dict[str, Any] = {"model": str(folder), "revision": None, "adapter": ""}
    else:
        changed = {"adapter": str(folder)}
        if training.method in QUANTIZED and config.backend.quantize == "none":
            changed["quantize"] = QUANTIZED[training.method]
    return config.model_copy(update={"backend": config.backend.model_copy(update=changed)})


def base_cells(cells: Sequence[Cell]) -> list[Cell]:
    """The cells as they are before anything is trained: on the bare base, for checks."""
    return [
        replace(cell, config=cell.config.model_copy(update={"backend": _bare(cell.config)}))
        if cell.config.backend.adapter.startswith(PREFIX)
        else cell
        for cell in cells
    ]


def _bare(config: RunConfig) -> Any:
    return config.backend.model_copy(update={"adapter": ""})


# ---------------------------------------------------------------- training


def check_trainings(trainings: Mapping[Path, TrainConfig]) -> None:
    """That every training still to be done has its base and its rows. Raises ConfigError naming those without."""
    wrong: dict[str, list[str]] = {}
    for folder, config in trainings.items():
        if is_finished(folder, config):
            continue
        try:
            checkpoint.check(hub.find(config.model, config.revision)[0])
            watch.check(config.watch)
            for each in config.data:
                if each.task:
                    task, source = (
                        registry.task(each.task, each.options),
                        data_files.open_source(config.data_folder),
                    )
                    if not next(iter(data_files.load(task, each.split, source, 1)), None):
                        raise ConfigError(f"task {each.task!r} has no rows in split {each.split!r}")
                elif not Path(each.file).expanduser().is_file():
                    raise ConfigError(f"no training file {each.file!r}")
        except UserError as error:
            wrong.setdefault(str(error), []).append(folder.name)
    if wrong:
        said = [f"{', '.join(names)}: {why}" for why, names in wrong.items()]
        raise ConfigError(f"trainings that cannot be done: {'; '.join(said)}")


def train_missing(trainings: Mapping[Path, TrainConfig], progress: Progress) -> None:
    """Train what is not there yet, each in a process of its own. Raises HarnessError; the rest stays to be done."""
    for number, (folder, config) in enumerate(trainings.items()):
        progress("trainings", number, len(trainings))
        if not is_finished(folder, config):
            train_in_process(config, folder, progress)
    progress("trainings", len(trainings), len(trainings))


def is_finished(folder: Path, config: TrainConfig) -> bool:
    found = run_record.read_record(folder)
    return found is not None and found["finished"] and found["config_hash"] == config_hash(config)


def train_in_process(config: TrainConfig, folder: Path, progress: Progress) -> dict[str, Any]:
    """`run.train` in a fresh process; the content of its train.json. Raises UserError, Fault."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from harness.training import study; study.serve()"
    asked = json.dumps({"config": config.model_dump(mode="json"), "folder": str(folder)})
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(asked)
            process.stdin.close()
            for line in process.stdout:
                match json.loads(line):
                    case {"progress": [str(stage), int(done), int(total)]}:
                        progress(stage, done, total)
                    case {"mistake": str(why)}:
                        raise UserError(f"training {folder.name}: {why}")
                    case {"fault": str(why)}:
                        raise Fault(f"training {folder.name}: {why}")
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise Fault(
            f"training {folder.name}: its process ended with status {process.returncode}; rerun to resume"
        )
    found = run_record.read_record(folder)
    assert found is not None
    return found


def serve() -> None:
    """What such a process runs: one training, its progress as lines of JSON."""
    with open(1, "w", encoding="utf-8", closefd=False, buffering=1) as out:

        def send(said: Mapping[str, Any]) -> None:
            out.write(json.dumps(said) + "\n")

        asked = json.load(sys.stdin)
        sys.stdout = sys.stderr  # what a library prints must not get between the lines
        config = TrainConfig.model_validate_json(json.dumps(asked["config"]))
        try:
            train(config, Path(asked["folder"]), lambda *step: send({"progress": step}))
        except HarnessError as error:
            send({"mistake" if isinstance(error, UserError) else "fault": str(error)})
