"""A run as Inspect's log and back: every number is kept, and the archive has what Inspect's own reader asks for.

The package (inspect_ai 0.3) read what is written here, headers, summaries and samples, and its viewer opened it.
"""

import json
import zipfile
from pathlib import Path

import pytest

from harness.results.interop import readers
from harness.runs.store import reader
from tests.support.command import harness, rows
from tests.support.recorded_run import recorded_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_run(tmp_path_factory.mktemp("inspect"))


def test_what_was_written_comes_back_with_every_number(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.eval"
    ended = harness("export", run, "--format", "inspect", "--out", log)
    assert ended.code == 0, ended.err
    ((result, completions),) = readers.read_results(log)
    summary = reader.read(run).summary
    assert "pass@1" in summary.metrics
    for name, estimate in summary.metrics.items():
        (found,) = [each.value for key, each in result.metrics.items() if key.endswith(f"/{name}")]
        assert found == estimate.value
    values = {
        (row["problem_id"], row["index"]): row["score"]["value"]
        for row in rows(run / "judgements.jsonl")
        if row["scorer"] == reader.read(run).reduces["pass@1"][0]
    }
    (mean,) = [name for name in result.metrics if name.endswith("/mean")]
    assert {
        (name, i): value for name, item in result.items.items() for i, value in enumerate(item.values[mean])
    } == values
    assert result.metrics[mean].value == 0.5
    said = [row["completion"] for row in rows(run / "generations.jsonl")]
    told = {(row["task_id"], row["text"]) for row in completions}
    assert len(completions) == len(said) == 20
    assert {text for _, text in told} == {each["text"].replace("\ud83d", "\ufffd") for each in said}
    assert [row["reasoning"] for row in completions if "reasoning" in row] == ["so\u2028so"]


def test_the_archive_has_the_members_and_fields_of_inspects_own(run: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.eval"
    assert harness("export", run, "--format", "inspect", "--out", log).code == 0
    with zipfile.ZipFile(log) as archive:
        names = set(archive.namelist())
        header, start, summaries = (
            json.loads(archive.read(name))
            for name in ("header.json", "_journal/start.json", "summaries.json")
        )
        samples = [json.loads(archive.read(name)) for name in sorted(names) if name.startswith("samples/")]
    assert {"version", "status", "eval", "plan", "results", "stats"} <= set(header)
    assert {"task", "task_id", "run_id", "created", "model", "dataset", "config"} <= set(header["eval"])
    assert start["eval"] == header["eval"]
    assert header["results"]["total_samples"] == len(summaries) == len(samples) == 20
    assert {each["epoch"] for each in samples} == {1, 2}
    for sample in samples:
        assert {"id", "epoch", "input", "target", "messages", "output", "scores", "metadata"} <= set(sample)
        assert sample["output"]["choices"][0]["stop_reason"] in {"stop", "max_tokens", "unknown"}
    assert f"samples/{samples[0]['id']}_epoch_1.json" in names


def test_a_log_has_a_name_that_inspect_looks_for(run: Path, tmp_path: Path) -> None:
    said = harness("export", run, "--format", "inspect", "--out", tmp_path / "log.json").complaint
    assert "a log of Inspect has a name that ends in .eval" in said
