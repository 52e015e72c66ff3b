"""HumanEval: tests that use what the prompt defines, real references that pass, recorded samples as recorded."""

from pathlib import Path

from harness import sandbox, scorers
from harness.runs import judge
from harness.tasks.loading import registry
from tests.support.command import harness, metrics, rows, write_rows
from tests.support.parts.task_rows import load


def test_humanevals_tests_may_use_what_the_prompt_defines_beside_the_function(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    (tmp_path / "humaneval").mkdir()
    row = {
        "task_id": "HumanEval/38",  # its test calls the encoder that its prompt defines
        "prompt": "def encode(s):\n    return s[1:] + s[:1]\n\n\ndef decode(s):\n    '''Undo encode.'''\n",
        "entry_point": "decode",
        "canonical_solution": "    return s[-1:] + s[:-1]\n",
        "test": "def check(candidate):\n    assert candidate(encode('abc')) == 'abc'\n",
    }
    write_rows(tmp_path / "humaneval" / "HumanEval.jsonl", [row])
    (problem,) = load("humaneval", {}, "test", str(tmp_path))
    assert judge.prove(registry.task("humaneval"), [problem], box) == []
    (verdict,) = scorers.unit_tests.score([(problem, row["prompt"] + row["canonical_solution"])], box)
    assert verdict.score is not None
    assert verdict.score.note != "in_process", "the helper came from the candidate, not from the task"


def passed(run: Path) -> list[bool]:
    return [row["status"] == "passed" for row in rows(run / "judgements.jsonl")]


def test_the_164_humaneval_references_pass_and_empty_answers_do_not(real_data: Path, tmp_path: Path) -> None:
    problems = load("humaneval", {}, "test", str(real_data))
    assert [problem.id for problem in problems] == [f"HumanEval/{i}" for i in range(164)]
    for name, value in (("canonical", 1.0), ("empty", 0.0)):
        said = [{"task_id": p.id, "completion": p.solution if name == "canonical" else ""} for p in problems]
        file = write_rows(tmp_path / f"{name}.jsonl", said)
        ended = harness(
            "score", "humaneval", "--completions", file, "--data", real_data, "--out", tmp_path / name
        )
        assert ended.code == 0, ended
        assert metrics(tmp_path / name)["pass@1"]["value"] == value


def test_scoring_a_recorded_file_gives_the_recorded_verdicts(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "humaneval" / "outputs" / "CodeFuse-13B.jsonl"
    expected = [row["verdict"] == "passed" for row in rows(path)]
    ended = harness(
        "score", "humaneval", "--completions", path, "--data", real_data, "--out", tmp_path / "run"
    )
    assert ended.code == 0, ended
    assert passed(tmp_path / "run") == expected
    assert metrics(tmp_path / "run")["pass@1"]["k"] == sum(expected) == 61
