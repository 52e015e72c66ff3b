"""A run's numbers for a model's page on the hub, as huggingface_hub itself reads them, and such files read back."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from harness.results.interop import readers
from harness.runs.store import reader
from tests.support.command import harness, mini_humaneval, write_rows

MINI = mini_humaneval()
ROWS = [MINI[i % len(MINI)] for i in range(164)]


def judged(folder: Path, data: Path | str, *more: Any) -> Path:
    """A run of HumanEval, every third answer wrong."""
    said = [
        {
            "task_id": f"HumanEval/{i}",
            "completion": row["canonical_solution"] if i % 3 else "    return None\n",
        }
        for i, row in enumerate(ROWS)
    ]
    given = ("--data", data, "--partial", "--completions", write_rows(folder / "said.jsonl", said), *more)
    ended = harness("score", "humaneval", *given, "--set", 'scorers=["parse_rate"]', "--out", folder / "run")
    assert ended.code == 0, ended.err
    return folder / "run"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark of 164 problems in HumanEval's file, made of the mini rows."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "humaneval").mkdir()
    write_rows(
        folder / "humaneval" / "HumanEval.jsonl",
        [{**row, "task_id": f"HumanEval/{i}"} for i, row in enumerate(ROWS)],
    )
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged(tmp_path_factory.mktemp("hub"), data)


def metrics(run: Path) -> dict[str, float]:
    """In per cent."""
    return {name: 100 * e.value for name, e in reader.read(run).summary.metrics.items()}


def test_the_first_metric_is_the_benchmarks_number(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "model" / ".eval_results" / "humaneval.yaml"
    ended = harness("export", run, "--format", "eval-results", "--out", file)
    assert ended.code == 0, ended.err
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert (entry.dataset_id, entry.task_id) == ("openai/openai_humaneval", "humaneval")
    assert entry.value == metrics(run)["pass@1"]
    assert 60 < entry.value < 70
    assert (entry.notes or "").startswith("pass@1, 95 % interval ")
    ((result, completions),) = readers.read_results(file)
    assert (result.model, result.task) == ("model", "openai/openai_humaneval/humaneval")
    assert {name: each.value for name, each in result.metrics.items()} == {"pass@1": entry.value}
    assert completions == []
    imported = harness("import", file, "--out", tmp_path / "imported")
    assert "totals only: a model's page has totals only" in imported.out


def test_every_metric_stands_in_the_model_card_which_keeps_the_rest(run: Path, tmp_path: Path) -> None:
    card = tmp_path / "tiny" / "README.md"
    card.parent.mkdir()
    other = {"type": "acc", "value": 1.5}
    index = [{"name": "tiny", "results": [{"task": {"type": "text-generation"},
              "dataset": {"type": "a/b", "name": "B"}, "metrics": [other]}]}]  # fmt: skip
    card.write_text(f"---\n{yaml.safe_dump({'license': 'mit', 'model-index': index})}---\n# Tiny\n")
    for _ in range(2):  # the second time the same numbers take their own place
        ended = harness("export", run, "--format", "model-index", "--out", card)
        assert ended.code == 0, ended.err
    read = ModelCard.load(card)
    assert read.data.license == "mit"
    assert read.text.strip() == "# Tiny"
    found = {each.metric_type: each.metric_value for each in read.data.eval_results or ()}
    assert found == {"acc": 1.5, **metrics(run)}
    assert len(read.data.eval_results or ()) == len(found)
    results = {result.task: result for result, _ in readers.read_results(card)}
    assert {name: each.value for name, each in results["openai/openai_humaneval"].metrics.items()} == metrics(
        run
    )
    assert results["a/b"].metrics["acc"].value == 1.5


@pytest.mark.parametrize("form", ["eval-results", "model-index"])
def test_part_of_a_benchmark_is_not_written(data: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out.md"
    part = judged(tmp_path, data, "--limit", 5)
    assert "has 5 of 164 problems" in harness("export", part, "--format", form, "--out", out).complaint
    said = [{"task_id": row["task_id"], "completion": "    return 1\n"} for row in mini_humaneval()]
    mini = (
        "--data",
        "mini",
        "--completions",
        write_rows(tmp_path / "mini.jsonl", said),
        "--out",
        tmp_path / "mini",
    )
    assert harness("score", "humaneval", *mini).code == 0
    said_of = harness("export", tmp_path / "mini", "--format", form, "--out", out).complaint
    assert "the project's own mini rows" in said_of
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.yaml", "- value: [", "no YAML"),
        ("a.yaml", "a: 1", "neither a list of results"),
        ("a.yaml", "- value: 1", "result 1: expected dataset.id and value"),
        ("a.yaml", "- {dataset: {id: a/b}, value: high}", "no number in it"),
        ("README.md", "# Tiny", "nor a README.md with a model-index"),
        ("README.md", "---\n{[\n---\n", "its front matter cannot be read"),
        ("README.md", "---\nmodel-index: 3\n---\n", "its model-index is not as the hub's"),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    (tmp_path / name).write_text(text)
    assert complaint in harness("import", tmp_path / name, "--out", tmp_path / "imported").complaint
