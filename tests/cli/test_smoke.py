"""Recipes from end to end in their smallest size: trainings, cells, and a report with the paper's tables."""

import json
from pathlib import Path

import pytest

from tests.support.command import Ended, harness
from tests.support.tiny_models import build


def run(recipe: str, folder: Path, *more: str) -> Ended:
    config = build("llama", folder / "base") / "config.json"
    wider = json.loads(config.read_text()) | {"max_position_embeddings": 4096}  # a schema in bytes is long
    config.write_text(json.dumps(wider))
    sets = [word for each in more for word in ("--set", each)]
    common = ("--model", folder / "base", "--data", "mini", "--out", folder / "out")
    ended = harness("run", recipe, "--smoke", *common, *sets)
    assert ended.code == 0, ended.err
    return ended


def trainings(folder: Path) -> int:
    return len(list((folder / "out" / "adapters").glob("*/train.json")))


@pytest.mark.parametrize(
    ("recipe", "cells", "trained", "paper"),
    [("text_to_sql", 5, 0, "2311.02303"), ("rq4", 4, 3, "2308.10462")],
)
def test_a_recipe_ends_in_a_report_beside_the_papers_rows(
    recipe: str, cells: int, trained: int, paper: str, tmp_path: Path
) -> None:
    ended = run(recipe, tmp_path)
    assert ended.out.count("\nrun: ") == cells
    assert trainings(tmp_path) == trained
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert f'<section id="reference-{paper.replace(".", "-")}">' in page
    assert "set apart: the project&#39;s own mini rows" in page


def test_the_mini_study_trains_and_evaluates_each_of_its_methods(tmp_path: Path) -> None:
    ended = run("mini_study", tmp_path, "matrix.seed=[1]", "train.matrix.seed=[1]")
    assert ended.out.count("\nrun: ") == 9
    assert trainings(tmp_path) == 5
    assert (tmp_path / "out" / "report.html").exists()


def test_the_multi_task_study_evaluates_base_and_adapter_on_all_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "mft").mkdir(parents=True)
    for name in ("completion", "text2code", "comment", "translation", "unittest"):
        rows = [{"instruction": f"{name} {i}", "output": f"x = {i}"} for i in range(12)]
        file = tmp_path / "data" / "mft" / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    ended = run("mft_5tasks", tmp_path, 'matrix.adapter=["", "train:mft-5tasks"]')
    assert ended.out.count("\nrun: ") == 44
    assert trainings(tmp_path) == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert '<section id="reference-2311-02303">' in page


def test_generators_and_the_judge_of_their_style_are_trained_by_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rounds; the second judge is of what the first generators wrote. The same command does nothing twice."""
    monkeypatch.chdir(tmp_path)
    ended = run("style", tmp_path)
    assert ended.out.count("\nrun: ") == 6
    judges = [json.loads((tmp_path / f"out/round-{n}/judge/classifier.json").read_text()) for n in (1, 2)]
    assert judges[0]["texts"]["alice"] > 8 >= judges[1]["texts"]["alice"]
    for number in (1, 2):
        files = list((tmp_path / f"out/round-{number}/adapters").glob("*/train.json"))
        assert len(files) == 2
        for file in files:
            points = json.loads(file.read_text())["losses"]["style"]
            assert [point["step"] for point in points] == [0, 1, 2]
    for name in (
        "adapters/*/adapter_model.safetensors",
        "*/generations.jsonl",
    ):  # other generators, other texts
        first, second = ({f.read_bytes() for f in tmp_path.glob(f"out/round-{n}/{name}")} for n in (1, 2))
        assert first
        assert first.isdisjoint(second)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/**/train.json")}
    run("style", tmp_path)
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/**/train.json")}


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("classifier.round=2", "no key 'round'. Did you mean 'rounds'?"),
        ("classifier.rounds=0", "classifier: rounds = 0"),
        ("style.classifier='x'", "style.classifier: [classifier] trains it: leave this out"),
        ('matrix.adapter=["", "train:alice"]', "a cell with adapter = 'train:edgar'"),
        ("style.label='alise'", "style.label: no class 'alise'. Did you mean 'alice'?"),
        ("classifier.classes.bob='task:conala'", "two classes are watched, and [classifier] has 3"),
        ("report.paper='x'", "report: no key 'paper'"),
    ],
)
def test_what_rounds_cannot_be_is_told_before_any_work(tmp_path: Path, key: str, complaint: str) -> None:
    said = harness(
        "run",
        "style",
        "--smoke",
        "--model",
        tmp_path,
        "--data",
        "mini",
        "--out",
        tmp_path / "out",
        "--set",
        key,
    )
    assert complaint in said.complaint
    assert not (tmp_path / "out").exists()
