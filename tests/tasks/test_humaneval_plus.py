"""HumanEval+ and MBPP+: EvalPlus' rules, on literals and on its own rows and results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError, DataError
from harness.runs import judge
from harness.schema import Problem, UnitTests
from harness.tasks.loading import data_files, registry
from tests.support.command import write_rows


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as pool:
        yield pool


def problem(folder: Path, body: str, inputs: list[Any], name: str = "f", atol: float = 0) -> Problem:
    (folder / "humaneval_plus").mkdir(exist_ok=True)
    row = {
        "task_id": "HumanEval/0",
        "prompt": f"def {name}(x):\n    '''Do it.'''\n",
        "entry_point": name,
        "canonical_solution": f"    {body}\n",
        "base_input": inputs[:1],
        "plus_input": inputs[1:],
        "atol": atol,
    }
    write_rows(folder / "humaneval_plus" / "HumanEvalPlus-v0.1.10.jsonl", [row])
    source = data_files.open_source(str(folder))
    return data_files.load(registry.task("humaneval_plus"), "test", source)[0]


def status(box: sandbox.Pool, given: Problem, code: str) -> str:
    (verdict,) = scorers.unit_tests.score([(given, code)], box)
    return verdict.status


@pytest.mark.parametrize(
    ("reference", "answer", "atol", "expected"),
    [
        ("return x / 3", "return x * (1 / 3)", 0, "passed"),
        ("return x / 3", "return x / 3 + 1e-5", 0, "failed"),
        ("return x / 3", "return x / 3 + 1e-5", 1e-4, "passed"),
        ("return [x / 3, 1.0]", "return [x * (1 / 3), 1.0]", 0, "passed"),
        ("return [x / 3, 1.0]", "return (x / 3 + 1e-9, 1.0)", 0, "failed"),
        ("return [x / 3, 1.0]", "return [x / 3 + 1e-9]", 0, "failed"),
        ("return x + 1", "return x + 1.0", 0, "passed"),
        ("return x + 1", "return x + 1 + 1e-9", 0, "failed"),
        ("return 1.5", "return '1.5'", 0, "failed"),
        ("return 1.5", "return None", 0, "failed"),
        ("return [1.5]", "return ['a']", 0, "failed"),
        ("return 1e308 * 10", "return 1e308 * 10", 0, "passed"),
        ("return (x,)", "return [x]", 0, "failed"),
    ],
)
def test_answers_agree_as_evalplus_has_it(
    reference: str, answer: str, atol: float, expected: str, tmp_path: Path, box: sandbox.Pool
) -> None:
    given = problem(tmp_path, reference, [[1], [2], [10]], atol=atol)
    assert status(box, given, f"def f(x):\n    {answer}\n") == expected


def test_a_wrong_answer_to_a_plus_input_alone_fails(tmp_path: Path, box: sandbox.Pool) -> None:
    given = problem(tmp_path, "return abs(x)", [[1], [2], [-3]])
    assert status(box, given, "def f(x):\n    return x\n") == "failed"


def test_a_recursive_reference_calls_itself_and_not_the_candidate(tmp_path: Path, box: sandbox.Pool) -> None:
    given = problem(tmp_path, "return 1 if x < 2 else x * f(x - 1)", [[5]])
    assert status(box, given, "def f(x):\n    return 120\n") == "passed"
    assert status(box, given, "def f(x):\n    return 7\n") == "failed"


def test_a_reference_that_changes_its_argument_does_not_change_the_candidates(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    given = problem(tmp_path, "x.append(1); return len(x)", [[[1, 2]], [[]]])
    assert status(box, given, "def f(x):\n    return len(x) + 1\n") == "passed"
    assert status(box, given, "def f(x):\n    x.append(1)\n    return len(x)\n") == "passed"


def test_any_root_is_right(tmp_path: Path, box: sandbox.Pool) -> None:
    given = problem(tmp_path, "return 1.0", [[[-1, 0, 1]]], name="find_zero", atol=1e-4)
    assert status(box, given, "def find_zero(x):\n    return -1.0\n") == "passed"
    assert status(box, given, "def find_zero(x):\n    return 0.5\n") == "failed"


BURN = (
    "import time\ndef burn(seconds):\n    end = time.process_time() + seconds\n"
    "    while time.process_time() < end:\n        pass\n"
)


def test_each_input_has_a_second_or_four_times_the_references_own(tmp_path: Path, box: sandbox.Pool) -> None:
    given = problem(tmp_path, "return x", [[0.0], [0.6], [0.6]])
    code = f"{BURN}def f(x):\n    burn({{}})\n    return x\n"
    assert status(box, given, code.format("x")) == "passed"  # 1.2 s for all of them
    (slow,) = scorers.unit_tests.score([(given, code.format("3 * x"))], box)
    assert (slow.status, slow.error) == ("timeout", "one call takes more CPU time than its tests allow")
    assert slow.cpu_s < 1.6
    body = f"exec({BURN!r}, globals()); burn(x); return x"
    assert status(box, problem(tmp_path, body, [[0.0], [0.4]]), code.format("3 * x")) == "passed"
    assert status(box, problem(tmp_path, body, [[0.0], [0.4]]), code.format("5 * x")) == "timeout"


def test_a_time_limit_of_the_users_own_is_for_all_calls_together(tmp_path: Path) -> None:
    given = problem(tmp_path, "return x", [[1.3]])
    with sandbox.start(sandbox.Settings(workers=1, time_limit=4.0)) as patient:
        assert status(patient, given, f"{BURN}def f(x):\n    burn(x)\n    return x\n") == "passed"


def test_releases_are_told_apart_in_the_signature(tmp_path: Path) -> None:
    for name, release, called in (
        ("humaneval_plus", "v0.1.9", "HumanEval+ v0.1.9"),
        ("humaneval_plus", "v0.1.10", "HumanEval+ v0.1.10"),
        ("mbpp_plus", "v0.1.0", "MBPP+ v0.1.0"),
        ("mbpp_plus", "v0.2.0", "MBPP+ v0.2.0"),
    ):
        task = registry.task(name, {"release": release})
        assert task.scorers[0].signature is not None
        assert task.scorers[0].signature([]) == called
        assert release in task.card.files[0].name
    with pytest.raises(ConfigError, match=r"no release 'v0.1.8'. Did you mean 'v0.1.9'"):
        registry.task("humaneval_plus", {"release": "v0.1.8"})


def test_a_wrong_option_says_what_would_be_right() -> None:
    with pytest.raises(ConfigError) as caught:
        registry.task("humaneval_plus", {"mini": "yes"})
    assert str(caught.value) == "task 'humaneval_plus': mini 'yes': expected true or false"


# ---------------------------------------------------------------- mbpp_plus


def mbpp(folder: Path, row: dict[str, Any]) -> Problem:
    (folder / "mbpp_plus").mkdir(exist_ok=True)
    write_rows(folder / "mbpp_plus" / "MbppPlus-v0.2.0.jsonl", [row])
    return data_files.load(registry.task("mbpp_plus"), "test", data_files.open_source(str(folder)))[0]


def release(number: int, name: str, body: str, inputs: list[Any]) -> dict[str, Any]:
    return {
        "task_id": f"Mbpp/{number}",
        "prompt": '"""\nDo it.\nassert True\n"""\n',
        "entry_point": name,
        "canonical_solution": f"\ndef {name}(*x):\n    {body}\n",
        "base_input": inputs[:1],
        "plus_input": inputs[1:],
        "atol": 0,
    }


@pytest.mark.parametrize(
    ("number", "given", "shown"),
    [
        (2, [[1], [2]], [(1,), (2,)]),
        (63, [[[1, 2], [3, 4]]], [[(1, 2), (3, 4)]]),
        (75, [[[1], [2]], 3], [[(1,), (2,)], 3]),
        (106, [[1], [2]], [[1], (2,)]),
        (115, [[[1], []]], [[{1}, {}]]),
        (124, ["1", "2j"], [1.0, 2j]),
        (250, [[1], 2], [(1,), 2]),
        (252, ["1+2j"], [1 + 2j]),
        (259, [[[1], [2]], [[3], [4]]], [((1,), (2,)), ((3,), (4,))]),
        (278, [[1, [2]]], [(1, (2,))]),
        (307, [[1], 2, 3], [(1,), 2, 3]),
        (722, [{"a": [1]}, 2], [{"a": (1,)}, 2]),
        (580, [[1, [2, [3]]]], [(1, (2, (3,)))]),
        (999, [[1]], [[1]]),
    ],
)
def test_inputs_get_back_the_types_that_json_has_not(
    number: int, given: list[Any], shown: list[Any], tmp_path: Path
) -> None:
    check = mbpp(tmp_path, release(number, "f", "return x", [given])).check
    assert isinstance(check, UnitTests)
    assert check.code.splitlines()[0] == f"for given, got, wanted in differing(f, answered, {[shown]!r}):"


@pytest.mark.parametrize(
    ("name", "reference", "answer", "expected"),
    [
        ("Diff", "return [1, 2]", "return [2, 1]", "passed"),
        ("Diff", "return [1, 2]", "return [2, 3]", "failed"),
        ("check_str", "return None", "return False", "passed"),
        ("check_str", "return 'x'", "return 'other'", "passed"),
        ("check_str", "return 'x'", "return None", "failed"),
        ("sum_div", "return 5", "return 0", "passed"),
        ("sum_div", "return 5", "return 4", "failed"),
        ("are_equivalent", "return True", "return False", "passed"),
    ],
)
def test_problems_that_leave_something_open_are_judged_so(
    name: str, reference: str, answer: str, expected: str, tmp_path: Path, box: sandbox.Pool
) -> None:
    given = mbpp(tmp_path, release(999, name, reference, [[1]]))
    assert status(box, given, f"def {name}(x):\n    {answer}\n") == expected


@pytest.mark.parametrize(
    ("name", "given", "answer", "expected"),
    [
        # A pyramid's height may be read as the slant, which the reference does, or as upright.
        ("surface_Area", [3, 4], 33, "passed"),
        ("surface_Area", [3, 4], 35, "passed"),
        ("surface_Area", [3, 4], 34, "failed"),
        # 1 and 23: digits side by side as the reference has it, or the shorter number filled with a zero.
        ("digit_distance_nums", [1, 23], 4, "passed"),
        ("digit_distance_nums", [1, 23], 9, "passed"),
        ("digit_distance_nums", [1, 23], 5, "failed"),
    ],
)
def test_questions_that_can_be_read_in_two_ways_accept_both(
    name: str, given: list[Any], answer: int, expected: str, tmp_path: Path, box: sandbox.Pool
) -> None:
    reference = "return x[0] ** 2 + 2 * x[0] * x[1]" if name == "surface_Area" else "return 9"
    asked = mbpp(tmp_path, release(999, name, reference, [given]))
    assert status(box, asked, f"def {name}(*x):\n    return {answer}\n") == expected


def test_the_hubs_rows_are_read_as_well(tmp_path: Path, box: sandbox.Pool) -> None:
    row = {
        "task_id": 2,
        "prompt": "Do it.",
        "code": "def help(x):\r\n    return x\r\ndef f(x):\r\n    return help(x)\r\n",
        "test_list": ["assert set(f([1])) == {1}"],
        "test": "for given, wanted in zip([[1], [2]], [1, 2]):\n    assert f(*given) == wanted",
    }
    given = mbpp(tmp_path, row)
    assert (given.id, given.question) == ("Mbpp/2", "Do it.\nassert set(f([1])) == {1}")
    assert judge.prove(registry.task("mbpp_plus"), [given], box) == []
    with pytest.raises(DataError, match="row 2: field 'test' is missing"):
        mbpp(tmp_path, {key: value for key, value in row.items() if key != "test"})


# ---------------------------------------------------------------- the benchmark's own files


def test_the_164_references_pass_on_the_small_set(real_data: Path, box: sandbox.Pool) -> None:
    task = registry.task("humaneval_plus", {"mini": True})
    problems = data_files.load(task, "test", data_files.open_source(str(real_data)))
    assert [each.id for each in problems] == [f"HumanEval/{i}" for i in range(164)]
    assert judge.prove(task, problems, box) == []
