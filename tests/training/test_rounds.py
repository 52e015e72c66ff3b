"""A study's rounds: seeds of their own, and a judge that is the one asked for."""

from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.files import packaged
from harness.training import rounds
from harness.training.style.classifier import ClassifierConfig
from tests.support.command import harness, write_rows


def test_a_later_round_has_other_seeds_of_runs_and_of_trainings() -> None:
    plain: dict[str, Any] = {"seed": 7, "train": {"matrix": {"seed": [1, 2]}}}
    assert rounds.with_seeds(plain, 1) == plain
    assert rounds.with_seeds(plain, 3) == {"seed": 2007, "train": {"matrix": {"seed": [2001, 2002]}}}
    axis = {"matrix": {"method": [{"prompt": "plain", "seed": 1}, {"prompt": "plain", "seed": 2}]}}
    assert rounds.with_seeds(axis, 2) == {
        "matrix": {"method": [{"prompt": "plain", "seed": 1001}, {"prompt": "plain", "seed": 1002}]}
    }
    named = rounds.with_seeds({"matrix": {"seed": "paper"}}, 2)
    assert named == {"matrix": {"seed": [1042, 1777, 6432, 56555, 1097]}}


def test_a_judge_of_other_settings_is_not_taken_for_the_one_asked_for(tmp_path: Path) -> None:
    rows = {"a": "x = {} + 1", "b": "print('{}')"}
    classes = {
        name: str(write_rows(tmp_path / f"{name}.jsonl", [{"text": text.format(i)} for i in range(20)]))
        for name, text in rows.items()
    }
    folder, config = tmp_path / "judge", ClassifierConfig(classes, epochs=1)
    made = rounds.train_judge(config, folder, lambda *_: None)
    assert rounds.train_judge(config, folder, lambda *_: None) == made
    for other in (
        ClassifierConfig(classes, epochs=2),
        ClassifierConfig(classes, epochs=1, half=True),
        ClassifierConfig(classes, epochs=1, encoder="no/such-encoder"),
        ClassifierConfig(classes, epochs=1, seed=1),
        ClassifierConfig(dict(reversed(classes.items())), epochs=1),
    ):
        with pytest.raises(UserError, match="other settings: give --out a new folder"):
            rounds.train_judge(other, folder, lambda *_: None)


def test_a_study_with_rounds_takes_what_its_report_is_to_show(tmp_path: Path) -> None:
    recipe = packaged("tasks/recipes/style.toml").read_text()
    (tmp_path / "mine.toml").write_text(recipe + '\n[report]\nmetric = "style"\n')
    given = ("--model", packaged("tasks/demo/model"), "--data", "mini", "--out", tmp_path / "out")
    ended = harness("run", tmp_path / "mine.toml", *given, "--dry-run")
    assert ended.code == 0, ended.err
    assert "2 rounds, each a classifier, 2 trainings and 3 cells" in ended.err + ended.out
