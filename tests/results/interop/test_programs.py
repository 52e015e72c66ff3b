"""Result files of programs with verdicts, as BigCodeBench, MultiPL-E and LiveCodeBench write them; and recorded ones,
whose metrics must be those that their authors reported."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.results.interop import readers


def test_bigcodebenchs_statuses_are_pass_or_not(tmp_path: Path) -> None:
    path = tmp_path / "m--bigcodebench-hard-instruct--vllm-0-1-sanitized_calibrated_eval_results.json"
    rows = [
        {"task_id": "BigCodeBench/3", "solution": "x", "status": status, "details": {}}
        for status in ("pass", "fail", "timeout", "pass")
    ]
    path.write_text(json.dumps({"date": "2024-09-24 20:03", "eval": {"BigCodeBench/3": rows}}))
    ((one, completions),) = readers.read_results(path)
    assert (one.tool, one.task, one.conditions["split"]) == ("bigcodebench", "bigcodebench_hard", "instruct")
    assert {name: figure.value for name, figure in one.metrics.items()} == {
        "pass@1": 0.5,
        "pass@2": pytest.approx(5 / 6),
    }
    assert completions[0] == {"task_id": "BigCodeBench/3", "solution": "x"}


def test_livecodebenchs_verdicts_go_with_its_raw_outputs(tmp_path: Path) -> None:
    row = {
        "question_id": "1873_A",
        "output_list": ["```python\nx\n```", "y"],
        "code_list": ["x", ""],
        "graded_list": [True, False],
        "pass@1": 0.5,
    }
    path = tmp_path / "m_codegeneration_output_eval_all.json"
    path.write_text(json.dumps([row]))
    ((one, completions),) = readers.read_results(path)
    assert (one.task, one.model, one.metrics["pass@1"].value) == (
        "livecodebench",
        "m_codegeneration_output",
        0.5,
    )
    assert completions == [{"task_id": "1873_A", "text": text} for text in row["output_list"]]


def test_multipl_es_folder_is_one_result_and_only_ok_with_exit_code_0_passes(tmp_path: Path) -> None:
    for name, ended in (
        ("HumanEval_0_a", [("OK", 0), ("Exception", 1)]),
        ("HumanEval_1_b", [("Timeout", -1)] * 2),
    ):
        results = [
            {"program": "x", "timestamp": 1, "exit_code": code, "status": status, "stdout": "", "stderr": ""}
            for status, code in ended
        ]
        plain = {"name": name, "language": "lua", "prompt": "", "tests": "", "results": results}
        with gzip.open(tmp_path / f"{name}.results.json.gz", "wt") as file:
            json.dump(plain, file)
    ((one, completions),) = readers.read_results(tmp_path)
    assert (one.tool, one.task, one.n, one.metrics["pass@1"].value) == (
        "multipl-e",
        "multipl_e[lua]",
        2,
        0.25,
    )
    assert completions == []
    (tmp_path / "x.results.json").write_text("{}")
    with pytest.raises(DataError, match=r"x\.results\.json: not a result of MultiPL-E: KeyError 'language'"):
        readers.read_results(tmp_path)


# file below the benchmarks' folder, and what its authors reported, in percent
REPORTED: dict[str, dict[str, float]] = {
    "bigcodebench/outputs/1.5b-base/full/completion-sanitized-calibrated_eval_results.json.gz": {
        "pass@1": 34.82
    },
    "bigcodebench/outputs/1.5b-base/hard/completion-sanitized-calibrated_hard_eval_results.json.gz": {
        "pass@1": 9.46
    },
    "multipl_e/outputs/1.5b-base/humaneval-java-details.json.gz": {"pass@1": 38.61},
    "multipl_e/outputs/1.5b-base/humaneval-ts-details.json.gz": {"pass@1": 47.80},
    "livecodebench/outputs/o1-mini-2024-09-12.json.gz": {"pass@1": 68.41},
    "humaneval_plus/outputs/qwen25coder-1.5b-base/generated_eval_results.json.gz": {
        "base pass@1": 43.90,
        "pass@1": 36.59,
    },
}


@pytest.mark.parametrize("name", REPORTED)
def test_recorded_results_have_the_metrics_that_their_authors_reported(real_data: Path, name: str) -> None:
    ((one, completions),) = readers.read_results(real_data / name)
    found: dict[str, Any] = {metric: round(100 * figure.value, 2) for metric, figure in one.metrics.items()}
    assert found == REPORTED[name]
    assert len(completions) >= one.n == len(one.items) > 100
