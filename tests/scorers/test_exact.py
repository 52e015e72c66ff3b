"""Exact match in its three readings."""

import subprocess
import sys

import numpy as np
import pytest

from harness import scorers
from harness.errors import DataError
from harness.schema import Problem, Reference, UnitTests
from harness.stats.estimates import estimate


def judged(answer: str, *references: str) -> tuple[float, float, float]:
    """(em, em_ws, em_ast) of one answer."""
    problem = Problem(id="t/0", question="", solution=references[0], check=Reference(texts=references))
    (verdict,) = scorers.exact.score([(problem, answer)], None)
    assert verdict.status == "scored"
    return (verdict.score.value, *verdict.score.stats)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("x.sort()", "x.sort()", (1, 1, 1)),
        ("  x.sort()\n", "x.sort()", (1, 1, 1)),
        ("x = 1\ny = 2", "x = 1 y = 2", (0, 1, 1)),  # the second is no Python, so whitespace decides
        ("f(a,b)", "f(a, b)", (0, 0, 1)),
        ("f('a')", 'f("a")  # call', (0, 0, 1)),
        ("f(a)", "f(b)", (0, 0, 0)),
        ("print 'x'", "print  'x'", (0, 1, 1)),  # Python 2 has no tree here: equal up to whitespace
        ("if a:\n    b\nc", "if a:\n    b\n    c", (0, 1, 0)),  # indentation is meaning
        ("x", "# nothing", (0, 0, 0)),
        ("# one", "# other", (0, 0, 0)),  # two empty programs are no match
        ("    return 1\n    # end", "return 1", (0, 0, 1)),
    ],
)
def test_three_readings_of_the_same_pair(answer, reference, expected):
    assert judged(answer, reference) == expected


def test_any_of_the_references_will_do():
    assert judged("b", "a", "b") == (1, 1, 1)


@pytest.mark.parametrize("empty", ["", "  \n\t"])
def test_an_empty_answer_never_matches(empty):
    assert judged(empty, "x") == (0, 0, 0)
    assert judged(empty, "") == (0, 0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        " + ".join(["x"] * 3000),  # too deep for the parser
        "(" * 20000,
        "x = 1\0",
        "x = '\ud800'",
        "x = " + "9" * 6000,
        "\\" * 10000,
        "lambda: " * 3000 + "0",
    ],
    ids=["deep sum", "brackets", "NUL", "half a pair", "long integer", "backslashes", "lambdas"],
)
def test_texts_that_python_cannot_parse_fall_back_to_whitespace(answer):
    assert judged(answer, "x") == (0, 0, 0)
    assert judged(answer, answer) == (1, 1, 1)
    assert judged(answer.replace("x", "x "), answer)[2] == judged(answer.replace("x", "x "), answer)[1]


def test_at_k_any_of_the_first_k_samples_counts():
    # references [a, b], candidates [[x, a], [b, y]]: the project's specification, 7.6
    scores = [np.array([judged(c, r) for c in of_one]) for r, of_one in [("a", "xa"), ("b", "by")]]
    metrics = scorers.exact.metrics([1, 2])
    values = {name: estimate(reduce, scores).value for name, reduce in metrics.items()}
    assert values == {
        "em@1": 0.5,
        "em@2": 1.0,
        "em_ws@1": 0.5,
        "em_ws@2": 1.0,
        "em_ast@1": 0.5,
        "em_ast@2": 1.0,
    }


def test_a_problem_without_reference_text_is_named():
    problem = Problem(id="t/7", question="", solution="", check=UnitTests(code="", entry_point="f"))
    with pytest.raises(DataError, match=r"t/7.*unit_tests"):
        list(scorers.exact.score([(problem, "x")], None))


def test_answers_are_drawn_one_at_a_time():
    problem = Problem(id="t/0", question="", solution="x", check=Reference(texts=("x",)))

    def answers():
        yield problem, "x"
        raise AssertionError("drawn too early")

    assert next(iter(scorers.exact.score(answers(), None))).score.value == 1.0


def test_importing_the_scorers_loads_nothing_heavy():
    heavy = "[m for m in ('numpy', 'tree_sitter', 'codebleu', 'torch') if m in sys.modules]"
    code = f"import sys, harness.scorers; sys.exit(repr({heavy}) if {heavy} else 0)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
