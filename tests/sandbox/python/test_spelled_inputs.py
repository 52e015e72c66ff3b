"""Inputs that tests spell out are no part of their code; what is found out of it, and the verdict, is the same."""

import pytest

from harness import sandbox
from harness.sandbox.python import needs, spelled_inputs, test_runner
from harness.schema import Limits, Program, UnitTests
from harness.tasks.families import evalplus

REFERENCE = "def f(x):\n    return str(x)"
LIMITS = Limits(cpu_s=5.0, wall_s=20.0, memory_mb=512)


def spelling_out(*inputs: object) -> UnitTests:
    row = {"entry_point": "f", "atol": 0, "base_input": [[each] for each in inputs], "plus_input": []}
    return evalplus.tests(row, REFERENCE, evalplus.AGREES)


def compiled(tests: UnitTests) -> test_runner.CompiledTests:
    return test_runner._compile_tests(tests.setup, tests.code, tests.entry_point, in_module=False)


@pytest.mark.parametrize(
    "given", [1, -1.5, "a'\"\n\\", (1, [2, {"k": None}]), float("inf"), -float("inf"), 2j, {3}, b"\0"]
)
def test_plain_data_is_read_as_it_was_written(given: object) -> None:
    found = compiled(spelling_out(given, given)).inputs
    assert found is not None
    first, second = found.value(), found.value()
    assert repr(first) == repr(second) == repr([[given], [given]])
    assert first is not second
    assert first[0] is not second[0]


def test_what_needs_a_look_at_the_code_stays_in_it() -> None:
    code = "for a, b, c in differing(f, answered, {}):\n    assert b == c\n"
    known = {"differing": None, "inf": float("inf")}
    assert spelled_inputs.lift(code.format("[[1], [inf]]"), known) is not None
    for inputs in (
        "[[1,2]]",
        "[[f(1)]]",
        "[[nan]]",
        "[[unknown]]",
        "[[1]",
        "[[1]] + [[2]]",
        "[n for n in (1, 2)]",
    ):
        assert spelled_inputs.lift(code.format(inputs), known) is None, inputs
    assert spelled_inputs.lift(code.format("[[1]]"), {}) is None
    assert spelled_inputs.lift(f"x = 1\n{code.format('[[1]]')}", known) is None
    assert spelled_inputs.lift(code.format("[[1]]") + spelled_inputs.NAME, known) is None


def test_what_the_tests_need_is_found_without_their_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    looked = needs.beside
    monkeypatch.setattr(needs, "beside", lambda code, *more: seen.append(code) or looked(code, *more))
    assert not compiled(spelling_out(*range(5000))).in_process
    assert len(seen[0]) < 200
    hidden = spelling_out(1)
    asking = hidden.model_copy(update={"code": f"{hidden.code}\nassert hidden_name"})
    assert compiled(asking).in_process
    assert compiled(asking).inputs is not None


def test_a_message_shows_the_line_with_its_inputs() -> None:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        tests = spelling_out(12345, 2)
        spelled = pool.run(Program(code="def f(x):\n    return 'no'", tests=tests, limits=LIMITS))
        # One by one, and spelled out in the code.
        code = tests.code.replace("[[12345], [2]]", "[[12345],[2]]").replace("differing", "in_turn")
        single = UnitTests(setup=tests.setup, code=code, entry_point="f")
        alone = pool.run(Program(code="def f(x):\n    return 'no'", tests=single, limits=LIMITS))
        unknown = "for a, b, c in differing(f, answered, [[unknown]]):\n    assert b == c\n"
        broken = next(
            iter(
                pool.map(
                    [Program(code=REFERENCE, tests=tests.model_copy(update={"code": unknown}), limits=LIMITS)]
                )
            )
        )
        right = pool.run(Program(code=REFERENCE, tests=tests, limits=LIMITS))
    assert (spelled.status, right.status) == ("failed", "passed")
    assert (
        spelled.detail
        == alone.detail
        == 'AssertionError: f(12345) at line 2: assert agrees(got, wanted, atol), f"f({str(given)[1:-1][:200]})"'
    )
    assert getattr(broken, "status", "") != "passed"
