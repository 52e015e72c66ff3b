"""DS-1000: recorded cases and real rows; what another version of a library wrote is a fault of the environment.

HARNESS_DS1000_PYTHON names an interpreter with pandas 1.5 (make ds1000-env); the recorded rows need one.
"""

import json
import os
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import sandbox
from harness.schema import Problem, Snippet
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, write_rows
from tests.support.parts.ds1000_rows import TASK, judged, mini

OLD_PYTHON = os.environ.get("HARNESS_DS1000_PYTHON", "")
needs_old_python = pytest.mark.skipif(
    not OLD_PYTHON, reason="set HARNESS_DS1000_PYTHON to a Python with pandas 1.5 (make ds1000-env)"
)


def recorded(
    folder: Path, answer: bytes | None = None, tests: str = "", dumped: str = "b", value: Any = None
) -> Problem:
    """A row of CodeFuse's layout with one recorded case of its own."""
    home = folder / "ds1000_codefuse" / "CodeCompletion" / "Numpy"
    answers = np.arange(3) * 2 if value is None else value
    for kind, value in (("input", (np.arange(3), 2)), ("ans", answers)):
        (home / f"{kind}_1").mkdir(parents=True, exist_ok=True)
        data = answer if answer and kind == "ans" else pickle.dumps(value)
        (home / f"{kind}_1" / f"{kind}1.pkl").write_bytes(data)
    context = (
        "import pickle\nimport argparse\nparser = argparse.ArgumentParser()\n"
        'parser.add_argument("--test_case", type=int, default=1)\nargs = parser.parse_args()\n'
        'a, n = pickle.load(open(f"input/input{args.test_case}.pkl", "rb"))\n[insert]\n'
        "with open('result/result_{}.pkl'.format(args.test_case), 'wb') as file:\n"
        f"    pickle.dump({dumped}, file)\n"
    )
    test = tests or (
        "import numpy as np\nimport parser\ndef stringTest(code):\n"
        "    leaves = [leaf for pair in parser.st2list(parser.suite(code)) for leaf in pair]\n"
        "    return 'for' not in leaves\n"
        "def test(result, ans):\n    np.testing.assert_array_equal(result, ans)\n    return 1\n"
    )
    row = {
        "task_id": "ds1000_completion_Numpy/1",
        "prompt": "A:\n<code>\n",
        "code_context": context,
        "canonical_solution": "b = a * n" if dumped == "b" else "b = n\nc = 5",
        "test": test,
        "language": "Numpy",
        "test_case_cnt": "1",
    }
    write_rows(home / "Numpy.jsonl", [row])
    task = registry.task("ds1000", {"layout": "codefuse"})
    (problem,) = data_files.load(task, "test", data_files.open_source(str(folder)))
    return problem


def test_recorded_cases_are_judged_outside_with_the_rule_that_codefuse_never_applied(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    problem = recorded(tmp_path)
    verdicts = judged(
        box,
        (problem, "b = a + a"),
        (problem, "b = a"),
        (problem, "import numpy\nb = numpy.array([n * each for each in a])"),
        (problem, ""),
    )
    assert [verdict.status for verdict in verdicts] == ["passed", "failed", "failed", "error"]
    assert verdicts[0].score is not None
    assert verdicts[0].score.note == ""


def test_a_row_that_dumps_several_names_is_held_against_all_of_them(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    tests = "def test(result, ans):\n    assert result == ans\n    return 1\n"
    problem = recorded(tmp_path, tests=tests, dumped="[b, c]", value=[2, 5])
    good, half, none = judged(box, (problem, "b = n\nc = 5"), (problem, "b = n\nc = 4"), (problem, "b = n"))
    assert [good.status, half.status, none.status] == ["passed", "failed", "error"]


def test_a_bad_row_of_codefuses_costs_itself_alone(tmp_path: Path) -> None:
    recorded(tmp_path)
    home = tmp_path / "ds1000_codefuse" / "CodeCompletion" / "Numpy"
    row = json.loads((home / "Numpy.jsonl").read_text())
    calls = {**row, "task_id": "N/2", "code_context": row["code_context"].replace("(b,", "(f(b),")}
    without_files = {**row, "task_id": "N/3"}
    write_rows(home / "Numpy.jsonl", [calls, without_files, row])
    source = data_files.open_source(str(tmp_path))
    loaded = data_files.load(registry.task("ds1000", {"layout": "codefuse"}), "test", source)
    assert [problem.id for problem in loaded] == ["ds1000_completion_Numpy/1"]
    assert source.skipped["N/2"] == "its code_context does not dump one value"
    assert "input_3/input1.pkl" in source.skipped["N/3"]


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, (str(Path(__file__).parent / "planted"),)


def test_a_pickle_is_opened_in_the_sandbox_and_nowhere_else(tmp_path: Path, box: sandbox.Pool) -> None:
    problem = recorded(tmp_path, pickle.dumps(Bomb()))
    (verdict,) = judged(box, (problem, "b = a * n"))
    assert not (Path(__file__).parent / "planted").exists()
    assert (verdict.status, verdict.score) == ("fault", None)
    assert "cannot be opened here" in verdict.error


def test_a_pickle_that_another_version_wrote_is_a_fault_of_the_environment(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    old = b"cpandas.core.internals.blocks\nno_such_block\n."
    (verdict,) = judged(box, (recorded(tmp_path, old), "b = a * n"))
    assert (verdict.status, verdict.score) == ("fault", None)
    assert "it wants other versions of the libraries" in verdict.error


def real(folder: Path) -> list[Problem]:
    task = registry.task("ds1000", {"layout": "codefuse"})
    return data_files.load(task, "test", data_files.open_source(str(folder)))


def test_the_real_rows_are_25_of_numpy_and_15_of_pandas(real_data: Path) -> None:
    problems = real(real_data)
    assert Counter(problem.group for problem in problems) == {"Numpy": 25, "Pandas": 15}
    first = next(problem for problem in problems if problem.id == "ds1000_completion_Numpy/1")
    assert isinstance(first.check, Snippet)
    assert (len(first.check.inputs), len(first.check.answers), first.check.wanted) == (3, 3, ("result",))


@needs_old_python
def test_every_real_reference_passes_outside_and_no_empty_answer_does(real_data: Path) -> None:
    problems = real(real_data)
    with sandbox.start(
        sandbox.Settings(python=OLD_PYTHON, packages=TASK.packages, preload=TASK.preload)
    ) as pool:
        good = judged(pool, *((problem, problem.solution) for problem in problems))
        empty = judged(pool, *((problem, "") for problem in problems))
    assert [(p.id, v.error) for p, v in zip(problems, good, strict=True) if v.status != "passed"] == []
    assert {v.score.note for v in good if v.score} == {""}
    assert {v.score and v.score.value for v in empty} == {0.0}


def test_real_pickles_of_an_old_pandas_are_faults_here_and_no_zeros(
    real_data: Path, box: sandbox.Pool
) -> None:
    problems = [problem for problem in real(real_data) if problem.id.endswith("Pandas/2")]
    (verdict,) = judged(box, (problems[0], problems[0].solution))
    assert (verdict.status, verdict.score) == ("fault", None)
    assert "cannot be opened here" in verdict.error


def test_a_run_on_other_versions_ends_in_3_and_its_summary_says_what_is_wanted(tmp_path: Path) -> None:
    recorded(tmp_path, b"cpandas.core.internals.blocks\nno_such_block\n.")
    write_rows(tmp_path / "said.jsonl", [{"task_id": "ds1000_completion_Numpy/1", "completion": "b = a * n"}])
    done = harness(
        *("score", "ds1000", "--data", tmp_path, "--set", "options.layout=codefuse", "--workers", "1"),
        *("--completions", tmp_path / "said.jsonl", "--out", tmp_path / "run"),
    )
    assert done.code == 3
    note = json.loads((tmp_path / "run" / "summary.json").read_text())["notes"][-1]
    assert note.startswith(
        "first fault, of ds1000_completion_Numpy/1: its recorded answers cannot be opened here"
    )
    assert note.endswith("name an interpreter that has them, --set judge.python=PATH")


@needs_old_python
def test_the_mini_rows_hold_on_the_benchmarks_own_versions_too() -> None:
    with sandbox.start(
        sandbox.Settings(python=OLD_PYTHON, packages=TASK.packages, preload=TASK.preload)
    ) as pool:
        verdicts = judged(pool, *((problem, problem.solution) for problem in mini()))
    assert [verdict.error for verdict in verdicts if verdict.status != "passed"] == []
