"""Calculus: expressions are read strictly, compared as mathematics, and results are judged in two programs."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import sandbox, scorers
from harness.schema import Expression, Problem
from harness.tasks.loading import data_files, registry
from harness.text import math_expr
from harness.text.math_expr import UnparsableExpression, compare, parse

TASK = registry.task("calculus")


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1, packages=TASK.packages, preload=TASK.preload)) as pool:
        yield pool


# ---------------------------------------------------------------- equal and different


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sin(2*x)", "2*sin(x)*cos(x)"),
        ("2**x", "exp(x*log(2))"),
        ("x**2*cos(x) + 2*x*sin(x)", "x*(x*cos(x) + 2*sin(x))"),
        ("log(x)", "log(Abs(x))"),
        ("sqrt(x**2)", "Abs(x)"),
        ("(x**2 - 1)/(x - 1)", "x + 1"),
        ("acos(x) + asin(x)", "pi/2"),
        ("1/3", "0.33333333333"),
        ("oo", "inf"),
        ("exp(I*pi)", "-1"),
        ("[2*x, Abs(y)]", "(x + x, sqrt(y**2))"),
        ("Matrix([[1, x], [0, 1]])", "[[1, x], [0, 1]]"),
        ("{-sqrt(2), sqrt(2)}", "{2**(1/2), -2**(1/2)}"),
        ("[3, 1]", "{1, 3}"),  # the order of solutions is nobody's mistake
    ],
)
def test_what_is_equal_as_mathematics_is_equal(one: str, other: str) -> None:
    assert compare(one, other) == "equal"


@pytest.mark.parametrize(
    ("got", "wanted"),
    [
        ("x**2", "x**3"),
        ("2*x*cos(x)", "x**2*cos(x) + 2*x*sin(x)"),
        ("x + 0.001", "x"),
        ("sqrt(x**2)", "x"),
        ("y", "x"),
        ("x**2/2 + 1", "x**2/2"),
        ("nan", "1"),
        ("oo", "-oo"),
        ("[1, 2]", "[2, 1]"),
        ("[1]", "1"),
        ("1", "[1]"),
        ("{1, 2}", "[1, 2]"),
        ("[1, 1, 3]", "{1, 3}"),
        ("{1}", "{1, 3}"),
    ],
)
def test_what_is_different_is_different(got: str, wanted: str) -> None:
    assert compare(got, wanted).startswith("different: ")


@settings(deadline=None, max_examples=40)
@given(
    st.recursive(
        st.sampled_from(["x", "y", "2", "1/3", "pi"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            inner.map(lambda text: f"sin({text})"),
            inner.map(lambda text: f"exp(-({text})**2)"),
        ),
        max_leaves=5,
    )
)
def test_an_expression_equals_itself_rewritten_and_not_itself_moved(text: str) -> None:
    assert compare(text, f"({text}) * 2 / 2") == "equal"
    assert compare(f"({text}) + 1", text).startswith("different")


# ---------------------------------------------------------------- nothing is run

HOSTILE = [
    "__import__('os').system('true')",
    "x.__class__",
    "(lambda: 1)()",
    "[x for x in (1,)]",
    "open('/etc/passwd')",
    "eval('1')",
    "sin.func",
    "f'{x}'",
    "'x'",
    "x if x else y",
    "x == y",
    "x @ y",
    "sin(x=1)",
    "sin(*[1])",
    "Integral(x, x)",
    "Symbol('x')",
    "factorial(10**9)",
    "True",
    "x := 1",
    "1; 2",
    "",
    "[1] + 1",
    "10**10**10",
    "(10**100)**(10**100)",
    "x**(10**30)",
    "9" * 8000,
    "x" * 31,
    "(" * 500 + "x" + ")" * 500,
    "-" * 3000 + "x",
    "+".join(["x"] * 3000),
    "x" + "*x" * 6000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:30])
def test_text_that_is_no_plain_expression_is_refused(text: str) -> None:
    with pytest.raises(UnparsableExpression):
        parse(text)
    assert compare(text, "1").startswith("unreadable: ")


@settings(deadline=None)
@given(st.text(st.sampled_from("xy019.+-*/() ,[]{}_'sincoexp\\\n"), max_size=30))
def test_a_text_is_refused_or_equals_itself(text: str) -> None:
    said = compare(text, "1")
    if not said.startswith("unreadable: "):
        assert compare(text, text) == "equal"
        return
    with pytest.raises(UnparsableExpression):
        parse(text)


def test_every_function_that_may_be_named_is_sympys_and_takes_a_number() -> None:
    for name in math_expr.FUNCTIONS:
        first = f"{name}(1/2, 2)" if name == "atan2" else f"{name}(1/2)"
        assert parse(first).is_number


# ---------------------------------------------------------------- judged in the sandbox


def problem(value: str) -> Problem:
    return Problem(
        id="calculus/test/0", question="?", solution="", check=Expression(texts=("",), value=value)
    )


def statuses(box: sandbox.Pool, value: str, *answers: str) -> list[str]:
    return [v.status for v in scorers.symbolic.score(((problem(value), text) for text in answers), box)]


IMPORT = "from sympy import *\nx = symbols('x')\n"


def test_answers_are_judged_by_their_result(box: sandbox.Pool) -> None:
    verdicts = list(
        scorers.symbolic.score(
            (
                (problem("2*x*cos(x**2)"), text)
                for text in (
                    f"{IMPORT}result = diff(sin(x**2), x)",
                    f"{IMPORT}print('working')\nresult = cos(x**2) * x * 2",
                    f"{IMPORT}result = sin(x**2)",
                    f"{IMPORT}answer = diff(sin(x**2), x)",
                    "result = ",
                    f"{IMPORT}result = Integral(x, x)",
                    "",
                )
            ),
            box,
        )
    )
    assert [v.status for v in verdicts] == ["passed", "passed", "failed", "error", "error", "failed", "error"]
    assert [v.score and v.score.value for v in verdicts] == [1, 1, 0, 0, 0, 0, 0]
    assert verdicts[2].error == "different: sin(x**2) is not 2*x*cos(x**2)"
    assert verdicts[3].error == "NameError: the answer does not define 'result'"


def test_numbers_of_numpy_and_sets_of_solutions_are_read(box: sandbox.Pool) -> None:
    assert statuses(box, "0.5", "import numpy as np\nresult = np.float64(0.5)") == ["passed"]
    assert statuses(box, "[1, 2]", "import numpy as np\nresult = np.array([1, 2])") == ["passed"]
    answers = [f"{IMPORT}result = solveset(x**2 - 2, x)", f"{IMPORT}result = solve(x**2 - 2, x)"]
    assert statuses(box, "{sqrt(2), -sqrt(2)}", *answers) == ["passed", "passed"]


FORGED = {
    "a string that is code": "result = \"__import__('sys').stdout.write('\\\"equal\\\"')\"",
    "an object equal to everything": "class R:\n    def __eq__(self, o): return True\n"
    "    def __str__(self): return 'equal'\nresult = R()",
    "the verdict printed": "print('\"equal\"')\nresult = 1",
    "an exit": "import os\nos._exit(0)",
    "an exit after the verdict": "import os, sys\nsys.stdout.write('\"equal\"\\n')\nsys.stdout.flush()\nos._exit(0)",
    "sympy patched": "import sympy\nsympy.simplify = lambda *a: 0\nsympy.Symbol.__eq__ = lambda *a: True\nresult = 1",
    "a power tower": "result = '9**9**9**9'",
    "a text without end": "result = 'x+' * 10**6",
}


@pytest.mark.parametrize("name", FORGED)
def test_no_result_talks_its_way_to_being_equal(box: sandbox.Pool, name: str) -> None:
    (status,) = statuses(box, "x**2", FORGED[name])
    assert status in {"failed", "error", "output"}


def test_an_expected_value_that_cannot_be_read_is_a_fault(box: sandbox.Pool) -> None:
    (verdict,) = scorers.symbolic.score([(problem("open('x')"), "result = 1")], box)
    assert (verdict.status, verdict.score) == ("fault", None)
    assert "the comparison failed" in verdict.error


def test_the_rows_answers_can_be_read_and_splits_share_no_question() -> None:
    splits = {s: data_files.load(TASK, s, data_files.open_source("mini")) for s in ("train", "test")}  # type: ignore[arg-type]
    assert {name: len(problems) for name, problems in splits.items()} == {"train": 203, "test": 45}
    for problems in splits.values():
        for one in problems:
            assert isinstance(one.check, Expression)
            parse(one.check.value)
    questions = [{one.question for one in problems} for problems in splits.values()]
    assert not questions[0] & questions[1]
    assert Counter(one.group for one in splits["test"])["derivative"] == 12
