"""The recipes of the papers' studies: how many cells of training and evaluation each has, with the papers' settings."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.config import grid
from harness.config.load import read_toml
from harness.files import packaged
from harness.prompts.templates import select_template
from harness.tasks.loading import registry
from harness.training import rounds, smoke, study
from harness.training.config import LEARNING_RATES

RECIPES = packaged("tasks/recipes")
SEEDS = {42, 777, 5432, 55555, 97}


def read(name: str) -> study.Assigned:
    plain: dict[str, Any] = read_toml(RECIPES / f"{name}.toml")
    train = plain.pop("train", {})
    plain.pop("report", None)
    if classifier := plain.pop("classifier", None):
        plain = rounds.with_judge(
            {**plain, "train": train}, rounds.RoundsConfig(**classifier).first("mini"), Path("judge"), name
        )
        train = plain.pop("train")
    cells = grid.expand({**plain, "data": "mini", "backend": {"model": "m"}}, name)
    return study.assign(cells, train, Path("adapters"), name)


@pytest.mark.parametrize(
    ("name", "trainings", "evaluations"),
    [
        ("rq1", 0, 75),
        ("rq2", 12, 14),
        ("rq2_small", 10, 12),
        ("rq3", 2, 24),
        ("rq4", 3, 4),
        ("mft_5tasks", 7, 176),
        ("mft_losses", 8, 18),
        ("mft_padding", 4, 5),
        ("text_to_sql", 0, 5),
        ("mini_study", 15, 27),
        ("transfer", 3, 20),
        ("style", 2, 3),
        ("mini_grid", 0, 36),
    ],
)
def test_a_recipe_has_the_cells_of_its_study(name: str, trainings: int, evaluations: int) -> None:
    found = read(name)
    assert (len(found.trainings), len(found.cells)) == (trainings, evaluations)
    for cell in found.cells:  # every task, option and prompt is one that there is
        select_template(registry.task(cell.config.task, cell.config.options), cell.config.prompt)


@pytest.mark.parametrize("name", ["mini_grid", "transfer"])
def test_tasks_are_compared_of_which_the_demo_model_solves_some(name: str) -> None:
    asked = {cell.config.task for cell in read(name).cells}
    assert asked == {"conala", "codealpaca_py", "humaneval"}  # not mbpp, of which it solves nothing


def test_the_smallest_size_retrieves_with_the_encoder_that_is_always_there() -> None:
    assert smoke.shrink(read_toml(RECIPES / "rq3.toml"))["retrieval"]["encoder"] == "mini"


def test_rq1_has_the_papers_seeds_and_numbers_of_examples() -> None:
    configs = [cell.config for cell in read("rq1").cells]
    assert {config.seed for config in configs} == SEEDS
    counts = Counter((config.task, config.shots) for config in configs)
    assert {shots for task, shots in counts if task == "conala"} == {
        "none",
        *(f"icl:{n}" for n in (1, 2, 3, 4, 5, 8, 16)),
    }
    assert {shots for task, shots in counts if task != "conala"} == {
        "none",
        *(f"icl:{n}" for n in (1, 2, 3, 4, 5, 8)),
    }
    assert {(c.sampling.samples, c.sampling.beams, c.prompt) for c in configs} == {(10, 10, "fenced")}


def test_rq2_has_the_rates_of_the_code_that_made_table_3() -> None:
    rates = {each.method: each.optim.lr for each in read("rq2").trainings.values()}
    assert rates == {
        "lora": 3e-4,
        "ia3": 3e-3,
        "prompt": 3e-3,
        "prefix": 3e-2,
        "qlora-8bit": 3e-4,
        "qlora-4bit": 3e-4,
    }
    assert LEARNING_RATES["full"] == 5e-5


def test_rq4_samples_as_the_paper_does() -> None:
    for cell in read("rq4").cells:
        sampling = cell.config.sampling
        assert (sampling.samples, sampling.temperature, sampling.top_p, cell.config.k) == (
            5,
            0.6,
            0.95,
            (1, 2, 5),
        )


def test_mft_has_the_papers_settings() -> None:
    trainings = list(read("mft_5tasks").trainings.values())
    for each in trainings:
        assert (each.optim.lr, each.optim.min_lr, each.packing.length) == (2e-4, 1e-5, 4096)
        assert each.evaluation.early_stop == "paper"
    assert [(each.name, each.loss.balance, len(each.data)) for each in trainings[-2:]] == [
        ("sft-mixed", "none", 5),
        ("mft-5tasks", "task_token", 5),
    ]
