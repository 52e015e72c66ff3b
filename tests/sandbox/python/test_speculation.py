"""Requests sent ahead: once a program has passed, the next gets all requests at once, and no verdict changes.

Each case is judged twice on one worker: before any program has passed these tests, so request by request, and after a
correct program has passed, so with all requests sent ahead.
"""

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import sandbox
from harness.schema import ExecResult, Limits, Program, UnitTests

LIMITS = Limits(cpu_s=0.5, wall_s=1.0, memory_mb=256, output_kb=64)
THREE = "assert f(1) == 1\nassert f(2) == 4\nassert f(3) == 9"
RIGHT = "def f(x):\n    return x * x"
_unique = count()


@pytest.fixture(scope="module")
def pool() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1)) as pool:
        yield pool


def twice(pool: sandbox.Pool, code: str, tests: str = THREE, right: str = RIGHT) -> list[ExecResult]:
    check = UnitTests(code=f"{tests}\n# {next(_unique)}", entry_point="f")  # tests never seen before
    programs = [Program(code=text, tests=check, limits=LIMITS) for text in (code, right, right, code)]
    first, passed, again, second = (pool.run(program) for program in programs)
    assert passed.status == again.status == "passed", (passed, again)
    return [first, second]


@pytest.mark.parametrize(
    ("second_call", "detail"),
    [
        ("while True: pass", "AssertionError at line 1"),
        ("print('x' * 300_000)", "AssertionError at line 1"),
        ("os._exit(0)", "AssertionError at line 1"),
        ("[0] * 10**9", "AssertionError at line 1"),
        ("raise KeyError(x)", "AssertionError at line 1"),
        ("os.kill(os.getpid(), 11)", "AssertionError at line 1"),
        ("return b'x' * (17 << 20)", "AssertionError at line 1"),
    ],
)
def test_what_comes_after_the_first_wrong_answer_does_not_count(
    pool: sandbox.Pool, second_call: str, detail: str
) -> None:
    code = f"import os\ndef f(x):\n    if x > 1:\n        {second_call}\n    return 7"
    for result in twice(pool, code):
        assert (result.status, result.detail[: len(detail)]) == ("failed", detail)


@pytest.mark.parametrize(
    ("second_call", "status"),
    [
        ("while True: pass", "timeout"),
        ("print('x' * 300_000)", "output"),
        ("os._exit(0)", "error"),
        ("[0] * 10**9", "memory"),
        ("raise KeyError(x)", "error"),
        ("import ctypes; ctypes.string_at(0)", "signal"),
        ("return b'x' * (17 << 20)", "output"),
        ("return 0", "failed"),
        ("sys.exit()", "error"),
    ],
)
def test_what_happens_at_a_request_that_the_tests_reach_counts(
    pool: sandbox.Pool, second_call: str, status: str
) -> None:
    code = f"import os, sys\ndef f(x):\n    if x > 1:\n        {second_call}\n    return x * x"
    first, second = twice(pool, code)
    assert (first.status, first.detail) == (second.status, second.detail)
    assert first.status == status


@pytest.mark.parametrize("answer", [1, 7])
@pytest.mark.parametrize(
    "flood", ["print('x' * 100_000)", "os.write(1, b'x' * 70_000)", "print('x' * 40_000)"]
)
def test_too_much_output_counts_where_it_comes_before_a_wrong_answer(
    pool: sandbox.Pool, answer: int, flood: str
) -> None:
    code = f"import os\ndef f(x):\n    {flood}\n    return x * x if x > 1 else {answer}"
    first, second = twice(pool, code)
    assert (first.status, first.detail) == (second.status, second.detail)
    much = "40" not in flood or answer == 1  # two times 40,000 bytes are too much as well
    assert first.status == ("output" if much else "failed")


def test_a_partial_reply_and_a_flood_do_not_block_the_tester(pool: sandbox.Pool) -> None:
    code = (
        "import os\ndef f(x):\n    if x > 1:\n        os.write(3, b'\\xff\\x00\\x00\\x00R')\n"
        "        while True: os.write(1, b'x' * 1000)\n    return x * x"
    )
    assert [result.status for result in twice(pool, code)] == ["output", "output"]


@pytest.mark.parametrize(
    "tests",
    [
        "x = 2\nfor _ in range(4):\n    x = f(x) % 7\nassert x in (1, 2, 4)",
        "import random\nfor _ in range(20):\n    n = random.randrange(100)\n    assert f(n) in (n * n, n * n + 1)",
        "import os\nn = os.urandom(1)[0]\nassert f(n) in (n * n, n * n + 1)",
        "try:\n    f('no')\nexcept TypeError:\n    pass\nassert f(2) in (4, 5)",
        "import time\nassert f(time.perf_counter_ns()) > 0",
    ],
)
def test_requests_that_depend_on_replies_or_on_chance_are_sent_again(pool: sandbox.Pool, tests: str) -> None:
    also_right = "def f(x):\n    return x * x + (x == 2) * 7"
    assert [result.status for result in twice(pool, RIGHT, tests)] == ["passed", "passed"]
    wrong = "def f(x):\n    return 'x'"
    assert {result.status for result in twice(pool, wrong, tests)} <= {"failed", "error"}
    assert len({result.status for result in twice(pool, also_right, tests)}) == 1


def test_replies_without_a_plain_form_are_iterated_over(pool: sandbox.Pool) -> None:
    tests = "a, b = f(3), f(2)\nassert list(b) == [0, 1]\nassert list(a) == [0, 1, 2]"
    right = "def f(n):\n    yield from range(n)"
    assert [result.status for result in twice(pool, right, tests, right)] == ["passed", "passed"]


def test_tests_that_catch_everything_still_start_over(pool: sandbox.Pool) -> None:
    tests = (
        "import os\ntry:\n    got = f(os.urandom(1)[0] + 2)\nexcept BaseException:\n    got = 0\n"
        "assert got > 3, 'caught'"
    )
    assert [result.status for result in twice(pool, RIGHT, tests)] == ["passed", "passed"]


@settings(max_examples=15, deadline=None)
@given(wrong_at=st.integers(0, 6), how=st.sampled_from(["return -1", "raise ValueError(x)", "return None"]))
def test_the_first_wrong_answer_is_found_wherever_it_is(pool: sandbox.Pool, wrong_at: int, how: str) -> None:
    tests = "\n".join(f"assert f({n}) == {n * n}" for n in range(6))
    code = f"def f(x):\n    if x == {wrong_at}:\n        {how}\n    return x * x"
    first, second = twice(pool, code, tests)
    assert (first.status, first.detail) == (second.status, second.detail)
    assert (first.status == "passed") == (wrong_at == 6)


def test_a_program_with_standard_input_gets_it_and_its_requests(pool: sandbox.Pool) -> None:
    check = UnitTests(code="assert f(1) == 'first'\nassert f(2) == 'second'", entry_point="f")
    code = "lines = {}\ndef f(x):\n    return input()"
    program = Program(code=code, stdin="first\nsecond\n", tests=check, limits=LIMITS)
    assert [pool.run(program).status for _ in range(3)] == ["passed"] * 3
