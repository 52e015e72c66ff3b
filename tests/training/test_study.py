"""A study's trainings: which one a cell's adapter names, on which base it is evaluated, each in a process."""

from pathlib import Path
from typing import Any

import pytest

from harness.config import grid
from harness.config.load import checked
from harness.errors import ConfigError, UserError
from harness.training import study
from harness.training.config import TrainConfig
from harness.training.run import with_method_defaults

ROOT = Path("adapters")
TRAIN: dict[str, Any] = {
    "matrix": {
        "set": [{"data": [{"task": "conala"}]}, {"data": [{"task": "codealpaca_py"}]}],
        "method": ["lora", "ia3", "qlora-4bit", "full"],
        "seed": [1, 2],
    }
}


def assigned(train: dict[str, Any] = TRAIN, **matrix: list[Any]) -> study.Assigned:
    axes = {"task": ["conala"], "seed": [1], **matrix}
    cells = grid.expand({"backend": {"model": "base"}, "data": "mini", "matrix": axes})
    return study.assign(cells, train, ROOT)


def trained(found: study.Assigned) -> list[tuple[str, str, int]]:
    return [(each.data[0].task, each.method, each.seed) for each in found.trainings.values()]


def test_a_name_means_the_training_with_the_cells_seed_on_its_task() -> None:
    found = assigned(task=["codealpaca_py", "conala"], adapter=["", "train:lora", "train:ia3"], seed=[1, 2])
    assert len(found.cells) == 12
    assert len(found.trainings) == 8
    for cell in found.cells:
        if cell.config.backend.adapter:
            config = found.trainings[Path(cell.config.backend.adapter)]
            assert (config.data[0].task, config.seed) == (cell.config.task, cell.config.seed)
            assert (config.model, config.data_folder) == ("base", "mini")


def test_a_name_may_say_more_of_the_config_than_the_method() -> None:
    assert trained(assigned(adapter=["train:lora,seed=2"])) == [("conala", "lora", 2)]
    assert trained(assigned(adapter=["train:lora,task=codealpaca_py"])) == [("codealpaca_py", "lora", 1)]
    losses = {"data": [{"task": "conala"}], "matrix": {"loss.balance": ["none", "task_token"]}}
    (config,) = assigned(losses, adapter=["train:loss.balance=task_token"]).trainings.values()
    assert config.loss.balance == "task_token"


def test_an_adapter_on_a_quantised_base_is_evaluated_on_it_and_a_full_training_is_a_model() -> None:
    cells = assigned(adapter=["train:lora", "train:qlora-4bit", "train:full"]).cells
    assert [cell.config.backend.quantize for cell in cells] == ["none", "4bit", "none"]
    assert (cells[2].config.backend.adapter, cells[2].config.backend.model != "base") == ("", True)


def test_a_name_that_fits_none_or_several_says_which_there_are() -> None:
    with pytest.raises(ConfigError, match=r"fits 'train:dora'; there are train:lora, train:ia3"):
        assigned(adapter=["train:dora"])
    two = {"data": [{"task": "conala"}], "matrix": {"optim.epochs": [1, 2]}}
    with pytest.raises(ConfigError, match=r"2 trainings of \[train\] fit 'train:lora'"):
        assigned(two, adapter=["train:lora"])


def test_before_anything_is_trained_the_cells_are_on_the_bare_base() -> None:
    cells = grid.expand(
        {"backend": {"model": "base"}, "matrix": {"task": ["conala"], "adapter": ["train:lora", "a"]}}
    )
    assert [cell.config.backend.adapter for cell in study.base_cells(cells)] == ["", "a"]


def test_a_training_has_a_process_and_a_peak_of_memory_of_its_own(tmp_path: Path) -> None:
    from tests.support.tiny_models import build

    asked = checked(
        TrainConfig,
        {
            "model": str(build("llama", tmp_path / "base")),
            "data_folder": "mini",
            "data": [{"task": "conala", "limit": 4, "validation": "none"}],
            "optim": {"max_steps": 1, "lr": 1e-3},
            "packing": {"length": 128},
        },
        "config",
    )
    config = with_method_defaults(asked)  # as a study's cells are
    steps: list[str] = []
    folder = tmp_path / "adapter"
    hog = bytearray(900 << 20)  # this process' peak is no part of the training's
    found = study.train_in_process(config, folder, lambda stage, done, total: steps.append(stage))
    del hog
    assert found["finished"]
    assert found["peak_mb"]["process"] < 900
    assert "tokenise" in steps
    assert study.is_finished(folder, config)
    with pytest.raises(UserError, match=r"training adapter: .*another config"):
        study.train_in_process(config.model_copy(update={"seed": 5}), folder, lambda *_: None)
