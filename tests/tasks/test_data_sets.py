"""Rows through the package `datasets`: its files and folders, a hub cache, and Dataset values; no network."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import harness as api
from tests.support.command import harness, mini_humaneval, write_rows
from tests.support.tiny_models import build

datasets = pytest.importorskip("datasets")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"question": f"the length of x{i}", "solution": f"len(x{i})"} for i in range(3)]
ANSWERS = [
    {"task_id": f"mine/test/{i}", "completion": row["solution"] if i else "no"} for i, row in enumerate(ROWS)
]
TASK = 'check = "reference"\nscorers = ["exact"]\n[rows]\ntest = "test"\ntrain = "train"\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "mine.toml").write_text(TASK, encoding="utf-8")
    write_rows(tmp_path / "answers.jsonl", ANSWERS)
    return tmp_path


def cached(folder: Path, name: str = "me--mine") -> Path:
    """A hub data set's folder in the cache, at COMMIT."""
    place = folder / "hub" / f"datasets--{name}" / "snapshots" / COMMIT
    place.mkdir(parents=True)
    return place


def scored(data: str, *, task: str = "mine.toml") -> float:
    ended = harness("score", task, "--data", data, "--completions", "answers.jsonl", "--out", "run")
    assert ended.code == 0, ended
    run = api.load_run("run")
    return float(run.metrics.loc["em@1", "value"])


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "arrow"])
def test_a_file_is_the_split_test(suffix: str, folder: Path) -> None:
    made = datasets.Dataset.from_list(ROWS)
    if suffix == "arrow":
        made.save_to_disk("saved")
        next((folder / "saved").glob("*.arrow")).rename("rows.arrow")
    else:
        getattr(made, {"jsonl": "to_json"}.get(suffix, f"to_{suffix}"))(f"rows.{suffix}")
    assert scored(f"rows.{suffix}") == pytest.approx(2 / 3)
    digests = json.loads((folder / "run" / "run.json").read_text())["data"]["sha256"]
    assert list(digests) == [f"rows.{suffix}/rows.{suffix}"]
    ended = harness(
        "run", "--task", "mine.toml", "--data", f"rows.{suffix}", "--model", "m", "--shots", "icl:1"
    )
    assert ended.complaint == f"rows.{suffix}: no split 'train'. Known: test."


def test_an_arrow_file_beside_the_task_is_read(folder: Path) -> None:
    datasets.Dataset.from_list(ROWS).save_to_disk("saved")
    next((folder / "saved").glob("*.arrow")).rename("rows.arrow")
    (folder / "mine.toml").write_text(TASK.replace('"test"', '"rows.arrow"'), encoding="utf-8")
    ended = harness("score", "mine.toml", "--completions", "answers.jsonl")
    assert ended.code == 0, ended


def test_a_hub_data_set_is_read_from_the_cache_by_revision_and_config(folder: Path) -> None:
    place = cached(folder)
    for config in ("a", "b"):
        (place / config).mkdir()
        write_rows(place / config / "test.jsonl", ROWS if config == "b" else ROWS[:1])
    configs = "".join(
        f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}/test.jsonl\n" for c in "ab"
    )
    (place / "README.md").write_text(f"---\nconfigs:\n{configs}---\n", encoding="utf-8")
    assert scored(f"hf:me/mine@{COMMIT}:b") == pytest.approx(2 / 3)
    record = json.loads((folder / "run" / "run.json").read_text())
    assert list(record["data"]["sha256"]) == ["me/mine:b/b/test.jsonl"]
    complaint = harness("doctor", "--task", "mine.toml", "--data", f"hf:me/mine@{COMMIT}:c").complaint
    assert complaint.startswith("me/mine:c: BuilderConfig 'c' not found")


def test_a_file_that_the_task_names_is_read_strictly_where_the_data_set_has_it(folder: Path) -> None:
    (cached(folder) / "rows.jsonl").write_text(
        '{"question": "a", "solution": "b"}\n{"question"\n', encoding="utf-8"
    )
    (folder / "mine.toml").write_text(TASK.replace('"test"', '"rows.jsonl"'), encoding="utf-8")
    complaint = harness("doctor", "--task", "mine.toml", "--data", f"hf:me/mine@{COMMIT}").complaint
    assert "rows.jsonl:2: malformed JSON" in complaint


def test_a_benchmark_is_read_from_a_data_set_that_has_the_hubs_layout(folder: Path) -> None:
    place = cached(folder, "openai--openai_humaneval")
    (place / "openai_humaneval").mkdir()
    mini = mini_humaneval()[:2]
    datasets.Dataset.from_list(mini).to_parquet(place / "openai_humaneval" / "test-00000-of-00001.parquet")
    ended = harness("doctor", "--task", "humaneval", "--data", f"hf:openai/openai_humaneval@{COMMIT}")
    assert ended.out.startswith("2 problems: 0 unreliable checks"), ended
    (place / "openai_humaneval" / "test-00000-of-00001.parquet").unlink()
    ended = harness("doctor", "--task", "humaneval", "--data", f"hf:openai/openai_humaneval@{COMMIT}")
    assert "openai/openai_humaneval has no file 'HumanEval.jsonl" in ended.complaint


def test_no_code_of_a_data_set_is_run_and_no_file_elsewhere_read(folder: Path) -> None:
    place = cached(folder)
    (place / "mine.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n", encoding="utf-8")
    write_rows(place / "test.jsonl", ROWS)
    ended = harness("doctor", "--task", "mine.toml", "--data", f"hf:me/mine@{COMMIT}")
    assert ended.complaint == "me/mine: its rows are made by a loading script, mine.py, and none is run"
    (place / "mine.py").unlink()
    write_rows(folder / "elsewhere.jsonl", ROWS)
    for file in (f"{folder}/elsewhere.jsonl", "https://localhost:9/x.jsonl"):
        split = f"  - split: test\n    path: {file}\n"
        away = f"---\nconfigs:\n- config_name: default\n  data_files:\n{split}---\n"
        (place / "README.md").write_text(away, encoding="utf-8")
        ended = harness("doctor", "--task", "mine.toml", "--data", f"hf:me/mine@{COMMIT}")
        assert f"{file!r} is no file of the data set itself" in ended.complaint
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("hf:me/mine", "--data 'hf:me/mine': expected hf:OWNER/NAME@REVISION"),
        (f"hf:me/other@{COMMIT}", f"hf:me/other@{COMMIT}: not in the hub cache; 'harness data fetch TASK"),
        ("dataset:none", "no data set 'none': expected a file or a folder of files"),
        ("broken.jsonl", "broken.jsonl: "),
    ],
)
def test_a_slip_is_one_line(data: str, said: str, folder: Path) -> None:
    (folder / "broken.jsonl").write_text('{"question"\n', encoding="utf-8")
    assert harness("doctor", "--task", "mine.toml", "--data", data).complaint.startswith(said)


def test_without_a_data_set_a_split_is_told(folder: Path) -> None:
    assert harness("doctor", "--task", "mine.toml").complaint.endswith("--data hf:OWNER/NAME@REVISION")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    write_rows(folder / "rows.jsonl", ROWS)
    monkeypatch.setitem(sys.modules, "datasets", None)
    ended = harness("doctor", "--task", "mine.toml", "--data", "rows.jsonl")
    assert ended.complaint == (
        "this needs the package datasets, which is not installed: pip install 'codelm-harness[datasets]'"
    )


def test_a_dataset_is_handed_over_and_samples_come_back_as_one(folder: Path) -> None:
    build("llama", folder / "model")
    both: Any = datasets.DatasetDict(
        test=datasets.Dataset.from_list(ROWS), train=datasets.Dataset.from_list(ROWS)
    )
    settings = {"model": "model", "progress": False, "cache": False, "max_tokens": 4}
    run = api.run("mine.toml", data=both, shots="icl:1", out="a", **settings)
    assert list(run.dataset["problem_id"]) == [f"mine/test/{i}" for i in range(3)]
    again = api.score(
        "mine.toml", datasets.Dataset.from_list(ANSWERS), data=both["test"], out="b", progress=False
    )
    assert again.metrics.loc["em@1", "value"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("given", ["rows", "task"])
def test_a_dataset_is_trained_on(given: str, folder: Path) -> None:
    build("llama", folder / "model")
    pairs = datasets.Dataset.from_list(
        [{"instruction": r["question"], "output": r["solution"]} for r in ROWS]
    )
    both = datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS))
    task, more = (pairs, {}) if given == "rows" else ("mine.toml", {"data": both})
    made = api.train(task, model="model", out="t", progress=False, optim={"max_steps": 1}, **more)
    assert (made.path / "adapter_model.safetensors").is_file()
