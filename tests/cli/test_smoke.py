"""Recipes from end to end in their smallest size: trainings, cells, and a report with the paper's tables."""

import json
from pathlib import Path

import pytest

from tests.support.command import harness
from tests.support.tiny_models import build


@pytest.mark.parametrize(
    ("recipe", "cells", "trainings", "paper"),
    [("text_to_sql", 5, 0, "2311.02303"), ("rq4", 4, 3, "2308.10462")],
)
def test_a_recipe_ends_in_a_report_beside_the_papers_rows(
    recipe: str, cells: int, trainings: int, paper: str, tmp_path: Path
) -> None:
    config = build("llama", tmp_path / "base") / "config.json"
    wider = json.loads(config.read_text()) | {"max_position_embeddings": 4096}  # a schema in bytes is long
    config.write_text(json.dumps(wider))
    common = ("--model", tmp_path / "base", "--data", "mini", "--out", tmp_path / "out")
    ended = harness("run", recipe, "--smoke", *common)
    assert ended.code == 0, ended.err
    assert ended.out.count("\nrun: ") == cells
    assert len(list((tmp_path / "out" / "adapters").glob("*/train.json"))) == trainings
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f'<section id="reference-{paper.replace(".", "-")}">' in page
    assert "set apart: the project&#x27;s own mini rows" in page
