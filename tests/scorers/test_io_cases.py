"""io_cases: programs judged case by case, and the two sets of rules for what is right."""

import math
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from harness import sandbox
from harness.errors import ConfigError, SandboxFault, UserError
from harness.schema import ExecResult, IOCase, IOCases, Problem, Program, Reference, Verdict
from harness.scorers.execution.io_cases import io_cases, io_cases_with, python_literal, restore_integer_keys
from harness.text.output_match import same_text, same_value, show, similar_text, similar_value


def problem(*cases: tuple[object, object], fn_name: str = "") -> Problem:
    given = tuple(IOCase(given=taken, expected=expected) for taken, expected in cases)
    return Problem(id="p/0", question="", solution="", check=IOCases(cases=given, fn_name=fn_name))


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(packages=("numpy",))) as pool:
        yield pool


def judged(box: sandbox.Pool, asked: Problem, *codes: str, compare: str = "apps") -> list[Verdict]:
    scorer = io_cases_with(compare)  # type: ignore[arg-type]
    return list(scorer.score([(asked, code) for code in codes], box))


def worth(verdict: Verdict) -> tuple[str, float, tuple[float, ...]]:
    assert verdict.score is not None, verdict
    return verdict.status, verdict.score.value, verdict.score.stats


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("output", "expected", "apps", "strict"),
    [
        ("3\n", "3", True, True),
        ("  a b \n\n", "a b\n", True, True),
        ("a \nb\n", "a\nb\n", True, False),  # stripped lines
        ("a\n\nb\n", "a\nb\n", True, False),  # empty lines
        ("0.333333\n", "0.33333333\n", True, False),  # numpy.allclose: 1e-8 + 1e-5 of the wanted one
        ("0.3334\n", "0.33333333\n", True, False),  # equal to three decimals, see below
        ("0.3344\n", "0.33333333\n", False, False),
        ("1e6\n", "1000001\n", True, False),
        ("nan\n", "1\n", False, False),
        ("1\n", "inf\n", False, False),
        ("2 1\n", "1 2\n", True, False),  # words of a line in any order
        ("b\na\n", "a\nb\n", True, False),  # lines in any order
        ("a\na\nb\n", "a\nb\n", True, False),  # and more than once
        ("0.1234 x\n", "x 0.1234\n", True, False),
        ("1.0004 2\n", "2.0001 1\n", True, False),  # sets of numbers to three decimals
        ("1.001 2\n", "2 1\n", False, False),
        ("A\n", "a\n", False, False),
        ("1 2 3\n", "1 2\n", False, False),
        ("", "1\n", False, False),
        ("1\n", "", False, False),
    ],
)
def test_printed_text_is_right_by_the_published_cascade_or_by_the_text(
    output: str, expected: str, apps: bool, strict: bool
) -> None:
    assert (similar_text(output, expected), same_text(output, expected)) == (apps, strict)


@pytest.mark.parametrize(
    ("got", "expected", "apps", "strict"),
    [
        (3, 3, True, True),
        (3, [3], True, True),  # most rows wrap the value
        ((1, 2), [1, 2], True, True),
        ([(1, 2)], [[[1, 2]]], True, True),
        ({"a": (1,)}, [{"a": [1]}], True, True),
        ([], [], True, True),
        (None, [], False, False),
        ([3], 3, False, False),
        (1, [1, 2], True, False),  # the published scorer looks at the first item, however many follow
        ("3", 3, False, False),
        (True, [1], True, True),  # Python's own equality
        (0.1 + 0.2, 0.3, False, False),
        (math.inf, [math.inf], True, True),
        ([10**5000], [[10**5000]], True, True),
    ],
)
def test_returned_values_are_right_when_equal_or_wrapped(
    got: object, expected: object, apps: bool, strict: bool
) -> None:
    assert (similar_value(got, expected), same_value(got, expected)) == (apps, strict)


def test_values_are_shown_in_a_line() -> None:
    assert show("a\nb") == "'a\\nb'"
    assert show("x" * 100) == "'" + "x" * 76 + "..."
    assert show(10**5000) == "a value of type int, too large to show"


def test_json_values_become_python_literals_and_large_integers_hexadecimal() -> None:
    assert (
        python_literal([1, True, None, "a'\n", 0.5, {"k": [False]}])
        == r"""[1, True, None, "a'\n", 0.5, {'k': [False]}]"""
    )
    assert python_literal([math.nan, -math.inf]) == "[nan, -inf]"
    assert python_literal({2: "\ud800"}) == r"{2: '\ud800'}"
    big = -(7**9000)
    assert sys.get_int_max_str_digits() == 4300
    assert eval(python_literal([big])) == [big]


def test_integer_keys_that_json_made_strings_are_restored() -> None:
    assert restore_integer_keys({"1": "a", "-2": "b"}) == {1: "a", -2: "b"}
    assert restore_integer_keys({"1": "a", "x": "b"}) == {"1": "a", "x": "b"}
    assert restore_integer_keys([1]) == [1]


# ---------------------------------------------------------------- programs


def test_standard_input_cases_are_counted_and_the_first_bad_one_is_named(box: sandbox.Pool) -> None:
    double = problem(("1\n", "2\n"), ("2\n", "4\n"), ("3\n", "6\n"))
    verdicts = judged(
        box,
        double,
        "print(int(input()) * 2)",
        "print(int(input()) + 2)",
        "x = int(input())\nprint(2 * x if x < 3 else 1 // 0)",
        "def f(:\n",
        "",
        "import sys\nfrom __future__ import annotations\nprint(2 * int(stdin.readline()))",
        "if __name__ == '__main__':\n    print(2 * int(input()))",
    )
    assert [worth(v) for v in verdicts] == [
        ("passed", 1.0, (1.0,)),
        ("failed", 0.0, (1 / 3,)),
        ("error", 0.0, (2 / 3,)),
        ("compile_error", 0.0, (0.0,)),
        ("failed", 0.0, (0.0,)),
        ("passed", 1.0, (1.0,)),
        ("passed", 1.0, (1.0,)),
    ]
    assert verdicts[0].error == ""
    assert verdicts[1].error == r"case 1 of 3: got '3\n', expected '2\n'"
    assert verdicts[2].error.startswith("case 3 of 3: ZeroDivisionError")
    assert not any("\n" in v.error for v in verdicts)


def test_calls_go_to_the_function_or_to_the_method_of_solution(box: sandbox.Pool) -> None:
    add = problem(([1, 2], [3]), ([5, -5], 0), ([10**5000, 1], [10**5000 + 1]), fn_name="add")
    verdicts = judged(
        box,
        add,
        "def add(a, b):\n    return a + b",
        "class Solution:\n    def add(self, a: List[int], b):\n        return sum([a, b])",
        "add = lambda a, b: 3",
        "def ad(a, b):\n    return a + b",
        "class Solution:\n    pass\ndef add(a, b):\n    return [a + b][0]",
        "import numpy as np\ndef add(a, b):\n    return np.int64(3) if a == 1 else a + b",
    )
    assert [worth(v) for v in verdicts] == [
        ("passed", 1.0, (1.0,)),
        ("passed", 1.0, (1.0,)),
        ("failed", 0.0, (1 / 3,)),
        ("error", 0.0, (0.0,)),
        ("passed", 1.0, (1.0,)),
        ("passed", 1.0, (1.0,)),
    ]
    assert verdicts[2].error.startswith("case 2 of 3: AssertionError: got 3, expected 0")
    assert verdicts[3].error == "case 1 of 3: NameError: the program defines no add"
    assert {v.score.note for v in verdicts if v.score} == {""}  # all judged outside


def test_arguments_of_every_json_kind_arrive(box: sandbox.Pool) -> None:
    given = [{"1": "a"}, math.inf, None, True, [[1.5, "\u2028'\""]]]
    same = problem((given, [["{1: 'a'}", True, True, True, True]]), fn_name="f")
    code = """
def f(d, x, n, t, l):
    return repr(d), x == float("inf"), n is None, t is True, l == [[1.5, "\\u2028'\\""]]
"""
    assert [worth(v)[0] for v in judged(box, same, code)] == ["passed"]


def test_a_value_that_answers_equal_to_everything_and_an_early_exit_do_not_pass(box: sandbox.Pool) -> None:
    one = problem(([1], [2]), fn_name="f")
    liar = "class L:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return L()"
    leaver = "import os\ndef f(x):\n    os._exit(0)"
    lister = "class L(list):\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return L()"
    assert [worth(v)[1] for v in judged(box, one, liar, leaver, lister)] == [0.0, 0.0, 0.0]
    printed = problem(("1\n", "2\n"))
    assert [worth(v)[1] for v in judged(box, printed, "import os\nos._exit(0)", "exit()")] == [0.0, 0.0]


def test_the_rules_are_chosen_by_name_and_named_in_the_signature(box: sandbox.Pool) -> None:
    lines = problem(("", "a\nb\n"))
    code = "print('b')\nprint('a')"
    assert [worth(v)[0] for v in judged(box, lines, code)] == ["passed"]
    assert [worth(v)[0] for v in judged(box, lines, code, compare="strict")] == ["failed"]
    call = problem(([], [1, 2]), fn_name="f")
    assert [worth(v)[0] for v in judged(box, call, "def f():\n    return 1")] == ["passed"]
    assert [worth(v)[0] for v in judged(box, call, "def f():\n    return 1", compare="strict")] == ["failed"]
    strict = io_cases_with("strict")
    assert strict.signature is not None
    assert strict.signature([]) == "io_cases strict"
    with pytest.raises(ConfigError, match="compare 'lax': expected 'apps' or 'strict'"):
        io_cases_with("lax")  # type: ignore[arg-type]


# ---------------------------------------------------------------- the batch


class Recorded:
    """A sandbox that answers by the program's standard input, and draws `ahead` programs before it does."""

    isolation = "recorded"

    def __init__(self, ahead: int = 1) -> None:
        self.ahead = ahead
        self.drawn = 0

    def run(self, program: Program) -> ExecResult:
        raise AssertionError("the scorer uses the batch form")

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        waiting: list[Program] = []
        for program in programs:
            self.drawn += 1
            waiting.append(program)
            if len(waiting) == self.ahead:
                yield self.result(waiting.pop(0))
        yield from map(self.result, waiting)

    @staticmethod
    def result(program: Program) -> ExecResult | SandboxFault:
        match program.stdin:
            case "fault":
                return SandboxFault("a tester stopped answering")
            case "slow":
                return ExecResult(status="timeout", detail="more than 4 s of CPU time", cpu_s=4.0)
            case text:
                return ExecResult(status="passed", stdout=text, cpu_s=0.5, peak_mb=9.0)


MIXED = problem(("a", "a"), ("slow", ""), ("b", "a"), ("c", "c"))
GOOD = problem(("a", "a"), ("b", "b"))
BROKEN = problem(("a", "a"), ("fault", ""), ("b", "b"))


@pytest.mark.parametrize("ahead", [1, 3, 100])
@pytest.mark.parametrize("stop_early", [False, True])
def test_verdicts_come_in_order_whatever_the_sandbox_draws_ahead(ahead: int, stop_early: bool) -> None:
    asked = [MIXED, GOOD, BROKEN, MIXED, GOOD]
    box = Recorded(ahead)
    verdicts = list(io_cases_with(stop_early=stop_early).score(((p, "") for p in asked), box))
    assert [v.status for v in verdicts] == ["timeout", "passed", "fault", "timeout", "passed"]
    share = 0.25 if stop_early else 0.5
    assert [v.score.stats if v.score else None for v in verdicts] == [
        (share,),
        (1.0,),
        None,
        (share,),
        (1.0,),
    ]
    assert verdicts[0].error == "case 2 of 4: more than 4 s of CPU time"
    assert verdicts[2].error == "case 2 of 3: a tester stopped answering"
    assert verdicts[1].cpu_s == 1.0
    assert verdicts[1].peak_mb == 9.0
    assert box.drawn == (2 + 2 + 2 + 2 + 2 if stop_early else 4 + 2 + 3 + 4 + 2)


@pytest.mark.parametrize("stop_early", [False, True])
def test_answers_are_drawn_a_few_at_a_time(stop_early: bool) -> None:
    drawn = 0

    def answers() -> Iterator[tuple[Problem, str]]:
        nonlocal drawn
        for _ in range(1000):
            drawn += 1
            yield GOOD, ""

    scorer = io_cases_with(stop_early=stop_early)
    for number, verdict in enumerate(scorer.score(answers(), Recorded(8)), 1):
        assert verdict.status == "passed"
        assert drawn - number <= (63 if stop_early else 5)
    assert drawn == 1000


def test_a_check_without_cases_cannot_be_made_so_nothing_passes_for_want_of_results() -> None:
    with pytest.raises(ValueError, match="at least 1 item"):
        IOCases(cases=())


def test_pass_at_k_counts_whole_samples_and_the_average_their_shares() -> None:
    metrics = io_cases.metrics([1, 2])
    assert list(metrics) == ["pass@1", "pass@2", "avg_tests_passed"]
    scores = np.array([[1.0, 1.0], [0.0, 0.5], [0.0, 0.0], [0.0, 0.5]])
    assert metrics["pass@1"].per_problem(scores).tolist() == pytest.approx([0.25])
    assert metrics["pass@2"].per_problem(scores).tolist() == pytest.approx([0.5])
    assert metrics["avg_tests_passed"].per_problem(scores).tolist() == pytest.approx([0.5])
    assert list(io_cases_with(stop_early=True).metrics([1])) == ["pass@1"]


def test_it_asks_for_a_sandbox_and_for_cases() -> None:
    with pytest.raises(UserError, match="needs a sandbox"):
        list(io_cases.score([(GOOD, "")], None))
    other = Problem(id="p/1", question="", solution="", check=Reference(texts=("x",)))
    with pytest.raises(UserError, match="cannot judge p/1"):
        list(io_cases.score([(other, "")], Recorded()))


def test_the_imports_that_programs_find_are_no_answer_to_a_question_for_one_of_them(
    box: sandbox.Pool,
) -> None:
    case = IOCase(given=[12, 18], expected=6)
    asked = Problem(id="p/1", question="", solution="", check=IOCases(cases=(case,), fn_name="gcd"))
    own = "def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n"
    verdicts = judged(box, asked, "pass", own, "def gcd(a, b):\n    return math.gcd(a, b)\n")
    assert [verdict.status for verdict in verdicts] == ["error", "passed", "passed"]
