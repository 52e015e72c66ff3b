"""Comments added to code: what counts as the same code, what as a comment."""

import pytest

from harness.schema import Problem, Reference
from harness.scorers import comments
from harness.scorers.similarity.comments import comment_density, comment_texts, dump_without_docstrings

CODE = 'def f(a):\n    """Old."""\n    b = a + 1\n    return b'
PROBLEM = Problem(id="mbpp/11", question=CODE, solution=CODE, check=Reference(texts=(CODE,)))


def scored(answer: str) -> tuple[float, ...]:
    (verdict,) = comments.score([(PROBLEM, answer)], None)
    assert verdict.score is not None
    return verdict.score.value, *verdict.score.stats


@pytest.mark.parametrize(
    ("answer", "value", "kept", "dense"),
    [
        (CODE + "  # the next number", 1.0, 1.0, 0.5),
        ("# New.\n" + CODE, 1.0, 1.0, 0.4),
        (CODE.replace("Old", "One more than a"), 1.0, 1.0, 0.25),
        ('def f(a):\n    "new"\n    b = (a +\n        1)\n    return b', 1.0, 1.0, 0.2),
        ("    # indented as a whole\n    def f(a):\n        b = a + 1\n        return b", 1.0, 1.0, 0.25),
        ('def f(a):\n    b = a + 1\n    "a string alone is a remark"\n    return b', 1.0, 1.0, 0.25),
        ("def f(a):\r\n    # windows\r\n    b = a + 1\r\n    return b\r\n", 1.0, 1.0, 0.25),
        # Nothing added.
        (CODE, 0.0, 1.0, 0.25),
        ("def f(a):\n    b = a + 1\n    return b", 0.0, 1.0, 0.0),
        ("def f(a):\n    #\n    b = a + 1 # \n    return b", 0.0, 1.0, 0.5),
        (CODE.replace('"""Old."""', "# Old."), 0.0, 1.0, 0.25),
        # Another program.
        ("# better\n" + CODE.replace("+ 1", "+ 2"), 0.0, 0.0, 0.0),
        ("# better\n" + CODE.replace("b", "c"), 0.0, 0.0, 0.0),
        ("# more\nimport os\n" + CODE, 0.0, 0.0, 0.0),
        ("# only this", 0.0, 0.0, 0.0),
        ("Here is the code:\n" + CODE, 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
        ("(" * 1000 + "1" + ")" * 1000, 0.0, 0.0, 0.0),
        ("#" * 3_000_000, 0.0, 0.0, 0.0),
        ("# \ud800\n" + CODE, 0.0, 0.0, 0.0),
    ],
)
def test_an_answer_counts_if_the_code_is_kept_and_something_is_said(
    answer: str, value: float, kept: float, dense: float
) -> None:
    assert scored(answer) == (value, kept, pytest.approx(dense), kept)


def test_a_docstring_may_take_the_place_of_pass_and_strings_that_are_used_stay() -> None:
    assert dump_without_docstrings('def f():\n    """Nothing."""') == dump_without_docstrings(
        "def f():\n    pass"
    )
    assert dump_without_docstrings("x = 'a'") != dump_without_docstrings("x = 'b'")
    assert dump_without_docstrings("def f(:") is None


def test_remarks_are_read_by_the_tokeniser() -> None:
    assert dict(comment_texts('x = "# no"  # yes\n"""a\n  b"""\n# yes')) == {"yes": 2, "a b": 1}
    assert comment_density("# one\n\nx = 1\n") == 0.5


def test_the_density_is_the_mean_over_answers_that_kept_the_code() -> None:
    import numpy as np

    from harness.stats import estimates

    rows = [np.array([[1.0, 1, 0.5, 1], [0.0, 0, 0.0, 0]]), np.array([[0.0, 0, 0.0, 0], [1.0, 1, 0.25, 1]])]
    found = {name: estimates.estimate(reduce, rows).value for name, reduce in comments.metrics([1]).items()}
    assert found == {"commented": 0.5, "code_kept": 0.5, "comment_density": 0.375}
