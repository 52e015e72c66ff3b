"""A run as Every Eval Ever's record and back: every number is kept, and the record has what its schema asks for.

The package's own validator (every-eval-ever 0.3.0, Python 3.12) passed what is written here; the schema's required
names are repeated below.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.results.interop import readers
from tests.support.command import harness, mini_humaneval, rows, write_rows
from tests.support.recorded_run import recorded_run

RECORD = {
    "schema_version",
    "evaluation_id",
    "retrieved_timestamp",
    "source_metadata",
    "eval_library",
    "model_info",
}
SAMPLE = {
    "schema_version",
    "evaluation_id",
    "model_id",
    "evaluation_name",
    "sample_id",
    "interaction_type",
    "input",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("eee"), "--set", 'scorers=["parse_rate"]')


def record(run: Path, out: Path) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    ended = harness("export", run, "--format", "every-eval-ever", "--out", out, "--model", "acme/tiny-1")
    assert ended.code == 0, ended.err
    (file,) = out.glob("data/humaneval/acme/tiny-1/*.json")
    return file, json.loads(file.read_text()), rows(file.with_name(f"{file.stem}_samples.jsonl"))


def test_a_record_has_its_metrics_with_intervals_and_its_samples_beside_it(run: Path, tmp_path: Path) -> None:
    file, plain, samples = record(run, tmp_path)
    assert set(plain) >= RECORD
    result = plain["evaluation_results"][0]
    assert (result["metric_config"]["metric_id"], result["score_details"]["score"]) == ("pass@1", 0.5)
    assert result["metric_config"]["metric_parameters"] == {"k": 1}
    metric = json.loads((run / "summary.json").read_text())["metrics"]["pass@1"]
    interval = result["score_details"]["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (metric["low"], metric["high"])
    assert "generation_args" not in result["generation_config"]  # recorded: nobody knows
    beside = plain["detailed_evaluation_results"]
    assert beside["file_path"] == f"data/humaneval/acme/tiny-1/{file.stem}_samples.jsonl"
    assert beside["total_rows"] == len(samples) == 10 * 2 * 2  # a line a scorer
    assert all(
        set(sample) >= SAMPLE and sample["evaluation_id"] == plain["evaluation_id"] for sample in samples
    )


def test_no_line_of_the_samples_is_split_or_refused_by_a_reader_of_text(run: Path, tmp_path: Path) -> None:
    file, _, samples = record(run, tmp_path)
    text = file.with_name(f"{file.stem}_samples.jsonl").read_text(encoding="ascii")
    assert len(text.splitlines()) == len(samples)
    assert samples[0]["output"]["raw"] == ["    return None  # \ufffd\n"]
    assert samples[2]["output"]["reasoning_trace"] == ["so\u2028so"]


def test_what_was_written_comes_back_with_every_number(run: Path, tmp_path: Path) -> None:
    record(run, tmp_path)
    ((one, completions),) = readers.read_results(tmp_path)  # a folder of records, as the datastore is
    summary = json.loads((run / "summary.json").read_text())
    assert {name: metric.value for name, metric in one.metrics.items()} == {
        name: metric["value"] for name, metric in summary["metrics"].items()
    }
    assert (one.tool, one.task, one.model, one.n) == ("codelm-harness", "humaneval", "acme/tiny-1", 10)
    first = one.items[mini_humaneval()[0]["task_id"]]
    assert first.values == {"pass@1": [0.0, 1.0], "parse_rate": [0.0, 1.0]}  # half a pair is no Python
    again = write_rows(tmp_path / "again.jsonl", completions)
    given = ("--data", "mini", "--limit", 10, "--completions", again, "--out", tmp_path / "run")
    assert harness("score", "humaneval", *given).code == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]["pass@1"]["value"] == 0.5


def test_a_record_without_its_samples_is_totals_only_and_a_damaged_sample_is_named(
    run: Path, tmp_path: Path
) -> None:
    file, _, samples = record(run, tmp_path)
    beside = file.with_name(f"{file.stem}_samples.jsonl")
    write_rows(beside, [*samples[:2], {**samples[2], "evaluation": {}}])
    assert f"{beside}:3: not a sample of Every Eval Ever: KeyError 'score'" in (
        harness("import", file, "--out", tmp_path / "in").complaint
    )
    beside.unlink()
    ((one, completions),) = readers.read_results(file)
    assert (one.n, one.items, completions) == (10, {}, [])
    assert one.no_items == f"no {beside.name} next to it"


def test_a_run_without_a_hub_model_wants_a_name(run: Path, tmp_path: Path) -> None:
    found = harness("export", run, "--format", "every-eval-ever", "--out", tmp_path).complaint
    assert "files a run under DEVELOPER/MODEL, and the run's model is '': give --model" in found
