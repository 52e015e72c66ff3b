"""DS-1000: rows in both layouts, what is judged where, and whose fault an environment is.

HARNESS_DS1000_PYTHON names an interpreter with pandas 1.5 (make ds1000-env); the recorded rows need one.
"""

import json
import os
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from harness import sandbox, scorers
from harness.config.identity import digest
from harness.errors import ConfigError, DataError
from harness.files import packaged
from harness.schema import Completion, Problem, Snippet, Verdict
from harness.tasks.loading import data_files, registry
from harness.text import extract
from tests.support.command import harness, write_rows

OLD_PYTHON = os.environ.get("HARNESS_DS1000_PYTHON", "")
needs_old_python = pytest.mark.skipif(
    not OLD_PYTHON, reason="set HARNESS_DS1000_PYTHON to a Python with pandas 1.5 (make ds1000-env)"
)
TASK = registry.task("ds1000")


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1, packages=TASK.packages, preload=TASK.preload)) as pool:
        yield pool


def judged(box: sandbox.Pool, *answers: tuple[Problem, str]) -> list[Verdict]:
    return list(scorers.snippets.score(iter(answers), box))


def mini() -> list[Problem]:
    return data_files.load(TASK, "test", data_files.open_source("mini"))


def snippet(compare: str, context: str, reference: str, case: str = "3", rule: str = "") -> Problem:
    """A row of one case: the value `case` goes in, the reference says what comes out."""
    code = (
        f"import numpy as np\nimport copy\n"
        f"def generate_test_case(number):\n"
        f"    x = {case}\n"
        f"    env = {{'test_input': copy.deepcopy(x)}}\n"
        f"    import builtins\n"
        f'    builtins.exec(exec_context.replace("[insert]", {reference!r}), env)\n'
        f"    return x, env['result']\n"
        f"def exec_test(result, ans):\n    {compare}\n    return 1\n"
        f"exec_context = {context!r}\n"
        f"def test_execution(solution):\n"
        f"    code = exec_context.replace('[insert]', solution)\n"
        f"    test_input, expected_result = generate_test_case(1)\n"
        f'    test_env = {{"test_input": test_input}}\n'
        f"    exec(code, test_env)\n"
        f'    assert exec_test(test_env["result"], expected_result)\n{rule}'
    )
    check = Snippet(code=code, wanted=("result",))
    return Problem(
        id=f"ds1000/{crc32(code.encode())}", question="?", solution=reference, check=check, group="Numpy"
    )


EQUAL = "np.testing.assert_array_equal(result, ans)"
DOUBLE = snippet(EQUAL, "x = test_input\n[insert]\n", "result = x * 2", "np.arange(3)")


# ---------------------------------------------------------------- verdicts


def test_right_and_wrong_and_broken_answers_are_told_apart_outside(box: sandbox.Pool) -> None:
    verdicts = judged(
        box,
        (DOUBLE, "result = x + x"),
        (DOUBLE, "result = x * 3"),
        (DOUBLE, "result = y"),
        (DOUBLE, "result = ("),
        (DOUBLE, ""),
        (DOUBLE, "other = 1"),
    )
    assert [verdict.status for verdict in verdicts] == [
        "passed",
        "failed",
        "error",
        "error",
        "error",
        "error",
    ]
    assert [verdict.score and verdict.score.value for verdict in verdicts] == [1, 0, 0, 0, 0, 0]
    assert {verdict.score and verdict.score.note for verdict in verdicts} == {""}


def test_a_rule_on_the_answers_tokens_counts(box: sandbox.Pool) -> None:
    rule = (
        "import io, tokenize\ndef test_string(solution):\n"
        "    tokens = [t.string for t in tokenize.tokenize(io.BytesIO(solution.encode()).readline)]\n"
        "    assert 'for' not in tokens\n"
    )
    strict = snippet(EQUAL, "x = test_input\n[insert]\n", "result = x * 2", "np.arange(3)", rule)
    looping = "result = np.array([2 * each for each in x])"
    looping = f"import numpy as np\n{looping}"
    assert [v.status for v in judged(box, (strict, looping), (DOUBLE, looping))] == ["failed", "passed"]


FORGED = {
    "an array equal to everything": "import numpy as np\nclass L(np.ndarray):\n"
    "    def __eq__(self, other): return True\n    def __array_function__(self, *a): return None\n"
    "result = np.zeros(3).view(L)",
    "a patched comparison": "import numpy as np\nnp.testing.assert_array_equal = lambda *a, **k: None\nresult = 0",
    "an exit": "import os\nos._exit(0)",
    "the expected value by frames": "import sys\nframe = sys._getframe()\nresult = None\n"
    "while frame:\n    result = frame.f_locals.get('expected_result', result)\n    frame = frame.f_back",
    "the expected value by gc": "import gc\nresult = [o for o in gc.get_objects() if isinstance(o, dict)"
    " and 'expected_result' in o]\nresult = result and result[0]['expected_result']",
}


@pytest.mark.parametrize("name", FORGED)
def test_nothing_that_an_answer_does_to_its_own_process_passes(box: sandbox.Pool, name: str) -> None:
    (verdict,) = judged(box, (DOUBLE, FORGED[name]))
    assert verdict.status in {"failed", "error"}


def test_what_cannot_cross_is_judged_beside_and_said_so(box: sandbox.Pool) -> None:
    model = snippet("assert result(4) == ans(4)", "[insert]\n", "result = lambda x: x + test_input")
    right, wrong = judged(box, (model, "def result(x): return test_input + x"), (model, "result = abs"))
    assert (right.status, right.score and right.score.note) == ("passed", "in_process")
    assert (wrong.status, wrong.score and wrong.score.note) == ("failed", "in_process")


def test_an_answer_that_cannot_cross_does_not_move_the_row_beside_the_program(box: sandbox.Pool) -> None:
    always = "class Yes:\n    def __eq__(self, other): return True\n    def __len__(self): return 3\nresult = Yes()"
    row = snippet("assert result == ans", "x = test_input\n[insert]\n", "result = x + 1")
    (verdict,) = judged(box, (row, always))
    assert (verdict.status, verdict.score and verdict.score.note) == ("failed", "")


def test_a_figures_answer_runs_beside_and_a_pass_has_to_survive_a_falsified_expectation(
    box: sandbox.Pool,
) -> None:
    problem = next(problem for problem in mini() if problem.group == "Matplotlib")
    verdicts = judged(
        box,
        (problem, "plt.plot(x, y, color='red', linestyle='--')\nplt.title('growth')"),
        (problem, "plt.plot(x, y)"),
        (problem, "import sys\nsys._getframe(1).f_builtins['AssertionError'] = type('E', (), {})"),
    )
    assert [verdict.status for verdict in verdicts] == ["passed", "failed", "failed"]
    assert {verdict.score and verdict.score.note for verdict in verdicts} == {"in_process"}


# ---------------------------------------------------------------- whose fault


def test_a_row_whose_own_reference_fails_here_is_a_fault_and_never_a_zero(box: sandbox.Pool) -> None:
    gone = snippet(EQUAL, "[insert]\n", "import numpy as np\nresult = np.no_such_thing(test_input)")
    broken, fine = judged(box, (gone, "result = 3"), (DOUBLE, "result = x * 2"))
    assert (broken.status, broken.score) == ("fault", None)
    assert "its own reference does not pass here" in broken.error
    assert "no_such_thing" in broken.error
    assert "--set judge.python=PATH" in broken.error
    assert fine.status == "passed"


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


# ---------------------------------------------------------------- rows, answers, options


def test_mini_rows_are_in_the_benchmarks_own_form_with_libraries_as_groups() -> None:
    problems = mini()
    assert Counter(problem.group for problem in problems) == {
        "Numpy": 14,
        "Pandas": 14,
        "Scipy": 2,
        "Matplotlib": 2,
    }
    assert all("[insert]" in problem.check.code for problem in problems if isinstance(problem.check, Snippet))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("result = 1\n</code>\nEND SOLUTION\nmore", "result = 1"),
        ("    return x\n# SOLUTION END\n", "    return x"),
        ("Here:\n```python\n    df = 1\n    return df\n```\nIt works.", "    df = 1\n    return df"),
        ("Sure!\n<code>\nresult = 2\n</code>", "result = 2"),
        ("\n    result = x\n\n    return result  ", "    result = x\n\n    return result"),
        ("", ""),
    ],
)
def test_an_answer_keeps_its_indentation_and_ends_where_the_benchmark_says(text: str, answer: str) -> None:
    assert TASK.extract(DOUBLE, Completion(text=text)) == answer


def test_a_recorded_continuation_is_cut_and_not_searched() -> None:
    text = "x = '''\n```\n'''\nresult = x\n</code>"
    assert TASK.extract(DOUBLE, Completion(text=text, form="continuation")) == "x = '''\n```\n'''\nresult = x"
    assert extract.first_fenced(text) is not None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"layout": "upsteam"}, "layout 'upsteam': expected 'upstream' or 'codefuse'"),
        ({"layout": "codefuse", "format": "infill"}, "format 'infill': expected 'completion' or 'insertion'"),
        ({"format": "insertion"}, "format 'insertion' is of layout 'codefuse': set options.layout too"),
    ],
)
def test_a_wrong_option_is_one_line(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        registry.task("ds1000", options)


def test_a_row_without_its_tests_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "ds1000").mkdir()
    row = {
        "prompt": "",
        "reference_code": "",
        "code_context": "",
        "metadata": {"problem_id": 7, "library": "Numpy"},
    }
    write_rows(tmp_path / "ds1000" / "ds1000.jsonl", [row])
    good = json.loads(packaged("tasks/mini/ds1000/ds1000.jsonl").read_text(encoding="utf-8").splitlines()[0])
    write_rows(tmp_path / "ds1000" / "ds1000.jsonl", [row, good])
    source = data_files.open_source(str(tmp_path))
    assert [problem.id for problem in data_files.load(TASK, "test", source)] == ["ds1000/0"]
    assert source.skipped == {"ds1000/7": "its code_context has no test_execution"}


def test_a_folder_without_codefuses_files_is_one_line(tmp_path: Path) -> None:
    task = registry.task("ds1000", {"layout": "codefuse"})
    with pytest.raises(DataError, match=r"no file 'CodeCompletion/Numpy/Numpy\.jsonl' of 'ds1000_codefuse'"):
        data_files.load(task, "test", data_files.open_source(str(tmp_path)))


def test_a_scored_run_says_which_libraries_judged_and_has_a_value_a_library(tmp_path: Path) -> None:
    problems = [problem for problem in mini() if problem.id in {"ds1000/0", "ds1000/1", "ds1000/14"}]
    said = [{"task_id": problem.id, "completion": problem.solution} for problem in problems]
    said[1]["completion"] = "result = a"
    write_rows(tmp_path / "said.jsonl", said)
    done = harness(
        *("score", "ds1000", "--data", "mini", "--completions", tmp_path / "said.jsonl", "--partial"),
        *("--out", tmp_path / "run", "--workers", "1"),
    )
    assert done.code == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    values = {name: estimate["value"] for name, estimate in summary["metrics"].items()}
    assert values == {"pass@1": pytest.approx(2 / 3), "pass@1[Numpy]": 0.5, "pass@1[Pandas]": 1.0}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["judge"]["installed"]["numpy"] == np.__version__
    assert {"pandas", "six"} <= set(record["judge"]["installed"])  # what pandas needs is there too
    assert f" packages {digest(record['judge']['installed'])[:8]}" in summary["signature"]


# ---------------------------------------------------------------- real rows


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
