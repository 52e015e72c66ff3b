"""LiveCodeBench: private tests opened in the sandbox only, its comparison, its dates; recorded outputs' extraction."""

import base64
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox
from harness.errors import ConfigError, DataError
from harness.schema import Completion, Problem, Verdict
from harness.tasks.loading import registry
from harness.text import output_match
from tests.support.command import harness, write_rows
from tests.support.parts.task_rows import load


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


def verdicts(given: list[tuple[Problem, str]], box: sandbox.Pool) -> list[Verdict]:
    task = registry.task("livecodebench")
    answers = [(each, task.extract(each, Completion(text=text))) for each, text in given]
    return list(task.scorers[0].score(iter(answers), box))


def packed(value: object) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value))).decode()


ROW = {
    "question_content": "Read two numbers, print their sum.",
    "platform": "atcoder",
    "question_id": "x1_a",
    "contest_date": "2024-08-03T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}]),
    "private_test_cases": packed(json.dumps([{"input": "2 2\n", "output": "4\n", "testtype": "stdin"}])),
    "metadata": "{}",
}
ADDS = "print(sum(map(int, input().split())))"


def rows(folder: Path, *changes: dict[str, Any], **options: object) -> list[Problem]:
    (folder / "livecodebench").mkdir()
    write_rows(folder / "livecodebench" / "test.jsonl", [ROW | change for change in changes])
    return load("livecodebench", {"release": "v1", **options}, "test", str(folder))


# ---------------------------------------------------------------- private tests


def test_private_tests_count_and_are_not_known_before_they_are_opened(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    (one,) = rows(tmp_path, {})
    assert "2 2" not in one.model_dump_json()
    found = verdicts([(one, ADDS), (one, "print(3)")], box)
    assert [was.status for was in found] == ["passed", "failed"]
    assert found[1].error == "case 2 of 2: got '3\\n', expected '4\\n'"


class Attack:
    """Would write a file where it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))


@pytest.mark.parametrize(
    ("private", "why"),
    [
        (packed(["no text"]), "error: TypeError: the JSON object must be str, bytes or bytearray, not list"),
        ("bm90IHpsaWI=", "error: error: Error -3 while decompressing data: incorrect header check"),
        (packed('{"a": 1}'), "read: expected a list of tests, got dict"),
        (packed('[{"input": 1}]'), "read: test 0: expected the texts 'input' and 'output'"),
    ],
)
def test_what_cannot_be_opened_is_a_fault_and_no_failed_answer(
    private: str, why: str, tmp_path: Path, box: sandbox.Pool
) -> None:
    (one,) = rows(tmp_path, {"private_test_cases": private})
    (was,) = verdicts([(one, ADDS)], box)
    assert (was.status, was.score) == ("fault", None)
    assert was.error.startswith("its private tests cannot be ")
    assert was.error.endswith(why)


def test_a_pickle_that_runs_code_runs_it_in_the_sandbox(tmp_path: Path, box: sandbox.Pool) -> None:
    mark = tmp_path / "mark"
    (one,) = rows(tmp_path, {"private_test_cases": packed(Attack(mark))})
    (was,) = verdicts([(one, ADDS)], box)
    assert was.status == "fault"
    assert not mark.exists()


def test_the_full_data_set_has_its_private_tests_open(tmp_path: Path, box: sandbox.Pool) -> None:
    opened = json.dumps([{"input": "2 2\n", "output": "5\n", "testtype": "stdin"}])
    (one,) = rows(tmp_path, {"private_test_cases": opened})
    (was,) = verdicts([(one, ADDS)], box)
    assert was.error == "case 2 of 2: got '4\\n', expected '5\\n'"


# ---------------------------------------------------------------- its judge


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        ("1\n2\n", "1\n2", True),
        (" 1 \n2", "1\n2\n\n", True),
        ("1.50 2", "1.5 2.0", True),
        ("1e2", "100", True),
        ("50000000000000000", "50000000000000001", False),  # equal as floats
        ("0.33333", "0.33334", False),
        ("1\n\n2", "1\n2", False),
        ("yes", "YES", False),
        ("1  2", "1 2", True),
        ("a  b", "a b", False),
        ("nan", "NaN", False),
        ("sNaN", "sNaN 1", False),
        ("", "", True),
    ],
)
def test_lines_are_compared_as_text_or_as_decimals(got: str, expected: str, same: bool) -> None:
    assert output_match.same_lines(got, expected) is same


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [([1], [1], True), ((1, 2), [1, 2], True), ([(1, 2)], [[1, 2]], False), (1, [1], False), (1.0, 1, True)],
)
def test_values_are_compared_by_equality_and_a_tuple_is_a_list(got: Any, expected: Any, same: bool) -> None:
    assert output_match.exact_value(got, expected) is same


COUNTED = "return sorted(n for n, k in Counter(nums).items() if k == 2)"
TWICE = "class Solution:\n    def countTwice(self, nums):\n        BODY"
CALLS = [
    (TWICE.replace("BODY", "return tuple(sorted(n for n in set(nums) if nums.count(n) == 2))"), "passed"),
    (f"```python\n{TWICE.replace('BODY', COUNTED)}\n```", "passed"),
    (
        "        return sorted(n for n in set(nums) if nums.count(n) == 2)",
        "passed",
    ),  # goes on from the starter code
    (TWICE.replace("BODY", "return [n for n in nums if nums.count(n) == 2][::2]"), "failed"),
    (TWICE.replace("BODY", "while True: pass"), "timeout"),
    ("def other(nums):\n    return []", "compile_error"),  # below the starter code, as no answer by itself
]


def test_a_function_is_called_in_its_class_below_the_published_imports(box: sandbox.Pool) -> None:
    one = next(each for each in load("livecodebench", {}, "test") if each.id == "9001")
    found = verdicts([(one, text) for text, _ in CALLS], box)
    assert [was.status for was in found] == [status for _, status in CALLS]


def test_a_test_has_6_seconds_of_cpu_time() -> None:
    assert {each.check.limits.cpu_s for each in load("livecodebench", {}, "test")} == {6.0}  # type: ignore[union-attr]


# ---------------------------------------------------------------- dates and groups


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        ({"release": "v2"}, ["mini1_a", "mini1_b", "9001", "mini2_a"]),
        ({"since": "2024-06-22", "until": "2024-08-10"}, ["9002", "mini4_c"]),
        ({"since": "2024-06-23", "until": "2024-08-09"}, []),
        ({"since": "2025-01-01"}, ["mini6_a"]),
    ],
)
def test_a_release_is_so_many_files_and_days_are_counted_in(options: dict[str, str], ids: list[str]) -> None:
    task = registry.task("livecodebench", options)
    from harness.tasks.loading import data_files

    assert [each.id for each in task.load("test", data_files.open_source("mini"))] == ids


def test_a_day_can_be_given_on_the_command_line_without_quotes() -> None:
    told = harness(
        "tasks", "livecodebench", "--data", "mini", "--prompt", "--set", "options.since=2025-01-01"
    )
    assert told.code == 0, told.err
    assert told.out.startswith("# mini6_a, prompt 'chat' (chat)")


@pytest.mark.parametrize(
    ("group", "groups"),
    [
        ("difficulty", "easy medium easy"),
        ("platform", "codeforces atcoder leetcode"),
        ("both", "easy/codeforces medium/atcoder easy/leetcode"),
    ],
)
def test_metrics_are_split_by_difficulty_or_platform(group: str, groups: str) -> None:
    assert [each.group for each in load("livecodebench", {"group": group}, "test")[:3]] == groups.split()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": "August"}, "since 'August': expected a day like 2024-08-01"),
        ({"release": "v9"}, "no release 'v9'"),
        ({"group": "date"}, "no group 'date'"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(options: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        registry.task("livecodebench", options)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contest_date": "soon"}, "contest_date 'soon': expected a day like 2024-08-01"),
        ({"public_test_cases": "[]"}, "public_test_cases: expected one at least"),
        ({"public_test_cases": "{"}, "its tests cannot be read"),
    ],
)
def test_a_wrong_row_is_named(change: dict[str, str], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        rows(tmp_path, change)
