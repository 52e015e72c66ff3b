"""Training configs: every recipe is one, and a mistake is one line that names the key and what would be right."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.config.load import checked
from harness.errors import ConfigError
from harness.files import packaged
from harness.training import grid
from harness.training.config import TrainConfig, check, method_options
from harness.training.identity import config_hash
from harness.training.run import default_folder
from harness.training.trainer import should_stop
from tests.support.tiny_models import build

RECIPES = packaged("tasks/recipes")


def config(**more: Any) -> TrainConfig:
    return check(checked(TrainConfig, {"model": "m", "data": [{"task": "conala"}], **more}, "config"))


@pytest.mark.parametrize("name", ["demo", "demo_chat"])
def test_the_recipe_of_a_demo_model_is_valid(name: str) -> None:
    plain = tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8"))
    (found,) = grid.expand(plain, name)
    assert check(found).method == "full"


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"method": "lroa"}, "method = 'lroa': input should be 'full', 'lora'"),
        ({"peft": {"r": 0}}, r"peft \(lora\): r = 0: input should be greater than or equal to 1"),
        ({"peft": {"rank": 8}}, r"peft \(lora\): no key 'rank'"),
        ({"method": "prefix", "peft": {"r": 8}}, r"peft \(prefix\): no key 'r'"),
        ({"optim": {"learning_rate": 1}}, "no key 'optim.learning_rate'"),
        ({"data": [{"task": "conala", "flie": "x"}]}, "no key 'data.0.flie'. Did you mean 'data.0.file'"),
        ({"data": [{}]}, "data.0: needs exactly one of task"),
        ({"data": [{"task": "conala"}, {"task": "conala"}]}, r"two \[\[data\]\] tables are called 'conala'"),
        ({"data": []}, "data = "),
        ({"packing": {"mode": "pack", "batch_tokens": 2048}}, "batch_tokens goes with mode = 'dynamic' only"),
        ({"packing": {"attention": "block"}}, "'block' goes with mode = 'pack' or 'concat'"),
        (
            {"packing": {"mode": "pack", "attention": "block"}, "attention": "flash_attention_2"},
            "'block' does not go with attention = 'flash_attention_2'",
        ),
        ({"loss": {"convergence": "coba"}}, "needs loss.balance = 'task_token' or 'task_sample'"),
        ({"loss": {"focal": "sample", "balance": "task_token"}}, "loss.focal replaces loss.balance"),
        ({"method": "full", "dtype": "float16"}, "cannot train float16 weights"),
    ],
)
def test_a_mistake_is_named(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        config(**more)


def test_the_hash_covers_what_can_change_the_weights() -> None:
    assert config_hash(config()) == config_hash(config(device="cpu", log_every=3, data_folder="x"))
    assert len({config_hash(each) for each in (config(), config(seed=1), config(peft={"r": 8}))}) == 3


def test_the_same_training_has_the_same_id_wherever_its_files_lie(tmp_path: Path) -> None:
    def at(place: str, seed: int = 0, row: str = "x = 1") -> str:
        folder = tmp_path / place
        model = build("llama", folder / "model", seed=seed)
        rows = folder / "rows.jsonl"
        rows.write_text(json.dumps({"instruction": "set x", "output": row}) + "\n", encoding="utf-8")
        data = [{"file": str(rows), "validation": str(rows)}]
        return default_folder(config(model=str(model), data=data)).name

    here = at("here")
    assert at("there") == here
    assert len({here, at("other weights", seed=1), at("other rows", row="x = 2")}) == 3


def test_the_options_are_those_of_the_study_by_default() -> None:
    assert method_options(config()).model_dump(include={"r", "lora_alpha", "lora_dropout"}) == {
        "r": 16,
        "lora_alpha": 32,
        "lora_dropout": 0.05,
    }
    assert method_options(config(method="prompt")).model_dump()["num_virtual_tokens"] == 20


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [
        ([1.0, 1.1, 1.2], 2, True),  # two epochs worse than the best one
        ([1.0, 1.1], 2, False),
        ([1.0, 1.1, 1.0], 2, False),  # a tie is an improvement
        ([1.0, 0.9, 1.0], 2, False),
        ([1.0, 0.9, 1.0, 0.95], 2, True),
        ([3.0, 3.1, 3.2, 3.3, 3.4, 3.5], 5, True),
        ([3.0, 3.1, 3.2, 3.3, 3.4, 3.0], 5, False),
        ([], 2, False),
    ],
)
def test_early_stopping(losses: list[float], patience: int, stops: bool) -> None:
    assert should_stop(losses, patience) is stops
