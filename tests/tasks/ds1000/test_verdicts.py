"""DS-1000: what is judged where, and that nothing which an answer does to its own process passes."""

import pytest

from harness import sandbox
from tests.support.parts.ds1000_rows import DOUBLE, EQUAL, judged, mini, snippet


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


def test_a_row_whose_own_reference_fails_here_is_a_fault_and_never_a_zero(box: sandbox.Pool) -> None:
    gone = snippet(EQUAL, "[insert]\n", "import numpy as np\nresult = np.no_such_thing(test_input)")
    broken, fine = judged(box, (gone, "result = 3"), (DOUBLE, "result = x * 2"))
    assert (broken.status, broken.score) == ("fault", None)
    assert "its own reference does not pass here" in broken.error
    assert "no_such_thing" in broken.error
    assert "--set judge.python=PATH" in broken.error
    assert fine.status == "passed"
