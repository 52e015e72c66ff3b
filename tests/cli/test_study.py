"""A study that trains what it evaluates, by one command: trainings, cells, report; what is done is not done again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Ended, harness
from tests.support.tiny_models import build

STUDY = """
task = "conala"
limit = 3

[backend]
dtype = "float32"

[sampling]
max_tokens = 8

[train]
data = [{ task = "conala", limit = 4, validation = "none" }]

[train.packing]
length = 128

[train.optim]
max_steps = 1
lr = 1e-2
warmup = 0

[train.matrix]
method = ["lora", "ia3"]

[matrix]
adapter = ["", "train:lora", "train:ia3"]

[report]
papers = ["2308.10462"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    build("llama", folder / "base")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder


def run(folder: Path, *more: object) -> Ended:
    common = (
        "run",
        folder / "study.toml",
        "--model",
        folder / "base",
        "--data",
        "mini",
        "--out",
        folder / "out",
    )
    return harness(*common, *more)


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(file.read_text()) for file in sorted((folder / "out" / "adapters").glob("*/train.json"))
    ]


def test_a_study_trains_evaluates_and_reports_and_goes_on_where_it_was(folder: Path) -> None:
    planned = run(folder, "--dry-run")
    assert planned.code == 0, planned.err
    assert planned.out.count("to do\n") == 2
    assert "2 trainings, 3 cells:" in planned.out
    assert not (folder / "out").exists()

    ended = run(folder)
    assert ended.code == 0, ended.err
    assert sorted(record["config"]["method"] for record in records(folder)) == ["ia3", "lora"]
    assert ended.out.count("run: ") == 3
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert "zero-shot" in page
    assert "2308.10462" in page
    before = {
        file: file.stat().st_mtime_ns
        for file in (folder / "out").glob("*/*")
        if file.suffix in (".jsonl", ".json")
    }
    weights = sorted((folder / "out" / "adapters").glob("*/adapter_model.safetensors"))
    made = [file.stat().st_mtime_ns for file in weights]
    assert len(weights) == 2

    again = run(folder)
    assert again.code == 0, again.err
    assert [file.stat().st_mtime_ns for file in weights] == made
    assert {
        f for f, t in before.items() if f.name == "generations.jsonl" and f.stat().st_mtime_ns != t
    } == set()
    assert run(folder, "--dry-run").out.count("done\n") == 2


def test_what_cannot_be_is_told_before_any_work(folder: Path) -> None:
    unknown = run(folder, "--set", 'matrix.adapter=["train:dora"]')
    assert "no training of [train] fits 'train:dora'; there are train:lora, train:ia3" in unknown.complaint
    both = run(folder, "--set", "train.method=lora")
    assert "train: method is set by matrix.method and outside of it too" in both.complaint
    rows = run(folder, "--set", 'train.matrix.data=[[{task="conala"}]]', "--set", "train.data.0.limit=2")
    assert "data is set by matrix.data and outside of it too" in rows.complaint
    assert "report: no key 'paper'" in run(folder, "--set", "report.paper=x").complaint
    lone = harness("run", "--task", "conala", "--data", "mini", "--model", folder / "base", "--smoke")
    assert lone.complaint.startswith("--smoke and --dry-run are for studies")
