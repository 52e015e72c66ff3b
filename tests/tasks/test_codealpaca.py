"""CodeAlpacaPy: both corpora are read, and the rebuilt one follows its rule."""

import json
import shutil
from pathlib import Path

import pytest

from harness.errors import ConfigError
from harness.schema import Problem, Split
from harness.tasks.loading import data_files, registry
from tests.support.command import write_rows

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def load(folder: Path, split: Split, corpus: str) -> list[Problem]:
    task = registry.task("codealpaca_py", {"corpus": corpus})
    return data_files.load(task, split, data_files.open_source(str(folder)))


def test_the_published_split_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "codealpaca_py").mkdir()
    for name in ("train", "valid", "test"):
        write_rows(tmp_path / "codealpaca_py" / f"{name}.jsonl", [{"nl": f"Do {name}.", "cmd": "x ="}])
    found = [load(tmp_path, split, "published")[0] for split in SPLITS]
    assert [(each.id, each.question, each.solution) for each in found] == [
        ("codealpaca_py/train/0", "Do train.", "x ="),
        ("codealpaca_py/validation/0", "Do valid.", "x ="),
        ("codealpaca_py/test/0", "Do test.", "x ="),
    ]


def test_the_rebuilt_corpus_keeps_python_that_parses_once_and_splits_70_10_20(tmp_path: Path) -> None:
    (tmp_path / "codealpaca").mkdir()
    good = [{"instruction": f"In Python, add {i}.", "input": "", "output": f"x + {i}"} for i in range(20)]
    bad = [
        {"instruction": "Add in Java.", "input": "", "output": "x + 1"},
        {"instruction": "Add in Python.", "input": "4", "output": "x + 1"},
        {"instruction": "What is Python?", "input": "", "output": "A language, and more."},
        {"instruction": "Say nothing in Python.", "input": "", "output": ""},
        {"instruction": "In Python, add 3.", "input": "", "output": "another()"},
    ]
    path = tmp_path / "codealpaca" / "code_alpaca_20k.json"
    path.write_text(json.dumps(good + bad), encoding="utf-8")
    found = {split: load(tmp_path, split, "rebuilt") for split in SPLITS}
    assert {split: len(problems) for split, problems in found.items()} == {
        "train": 14,
        "validation": 2,
        "test": 4,
    }
    pairs = {(each.question, each.solution) for problems in found.values() for each in problems}
    assert pairs == {(row["instruction"], row["output"]) for row in good}
    # Python promises the same shuffle for a seed for as long as it has this generator.
    assert [each.question for each in found["test"]] == [
        "In Python, add 7.",
        "In Python, add 8.",
        "In Python, add 0.",
        "In Python, add 3.",
    ]


def test_a_wrong_corpus_says_what_would_be_right() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.task("codealpaca_py", {"corpus": "all"})
    assert str(caught.value) == "task 'codealpaca_py': corpus 'all': expected 'published' or 'rebuilt'"


def test_a_thousand_real_rows_can_be_rebuilt(real_data: Path, tmp_path: Path) -> None:
    (tmp_path / "codealpaca").mkdir()
    part = real_data / "codealpaca" / "code_alpaca_2k.json"
    shutil.copyfile(part, tmp_path / "codealpaca" / "code_alpaca_20k.json")
    assert len(json.loads(part.read_text(encoding="utf-8"))) == 1000
    assert [len(load(tmp_path, split, "rebuilt")) for split in SPLITS] == [38, 6, 11]
