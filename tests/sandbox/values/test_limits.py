"""What values may measure: a right one passes, and one beyond a limit has a verdict that says so, never `failed`."""

from collections.abc import Iterator

import pytest

from harness import sandbox
from harness.sandbox.values import large
from harness.schema import ExecResult, Limits, Program, UnitTests

PAIRS = "[(i, i + 1) for i in range({})]"
NESTED = "__import__('functools').reduce(lambda a, _: [a], range({}), [])"
MILLION = PAIRS.format(1_000_000)
LIMITS = Limits(cpu_s=20.0, wall_s=60.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1)) as opened:
        yield opened


def judge(pool: sandbox.Pool, value: str, test: str) -> ExecResult:
    tests = UnitTests(code=test, entry_point="f", limits=LIMITS)
    return pool.run(Program(code=f"def f(x):\n    return {value}", tests=tests, limits=LIMITS))


def test_a_million_pairs_are_compared_by_their_digest(pool: sandbox.Pool) -> None:
    right = judge(pool, MILLION, f"assert f(1) == {MILLION}")
    assert (right.status, right.judge) == ("passed", "outside")
    wrong = judge(pool, f"{MILLION}[:-1] + [(1, 1)]", f"assert f(1) == {MILLION}")
    assert (wrong.status, wrong.detail) == ("output", "a value of more than 16777216 bytes cannot cross")


def test_a_large_value_is_fetched_where_its_digest_does_not_do(pool: sandbox.Pool) -> None:
    code = PAIRS.format(600_000)
    assert judge(pool, code, "assert len(f(1)) == 600_000").status == "passed"
    assert (
        judge(pool, code, "got = f(1)\nassert isinstance(got, list) and got[7] == (7, 8)").status == "passed"
    )
    assert judge(pool, code, f"assert f(1) == [(float(a), b) for a, b in {code}]").status == "passed"
    assert judge(pool, code, f"assert f(1) == {code}[:-1]").status == "failed"
    assert judge(pool, code, f"assert sorted(f(1)) == {code}").status == "passed"


def test_a_digest_without_the_value_helps_nobody(pool: sandbox.Pool) -> None:
    claim = (
        "import sys\ndef f(x):\n    world = sys._getframe(1).f_globals\n"
        "    world['large'].digest = lambda value: 'list:' + '0' * 64\n    return [1]"
    )
    tests = UnitTests(code=f"assert f(1) == {PAIRS.format(600_000)}", entry_point="f", limits=LIMITS)
    assert pool.run(Program(code=claim, tests=tests, limits=LIMITS)).status == "failed"


@pytest.mark.parametrize(
    ("value", "test", "status"),
    [
        ("int('7' * 5000)", "assert str(f(1)) == '7' * 5000", "passed"),
        ("str(10 ** 5000)", "assert f(1) == '1' + '0' * 5000", "passed"),
        ("10 ** 5000", f"assert f(1) == 1{'0' * 5000}", "passed"),
        ("len(str(7 ** 9000))", "assert f(1) == 7606", "passed"),
        (NESTED.format(250), f"assert f(1) == {NESTED.format(250)}", "passed"),
        (NESTED.format(2000), "assert f(1) == []", "output"),
        ("list(range(100_000))", "assert f(1) == list(range(100_000))", "passed"),
        ("[str(i) for i in range(100_000)]", "assert f(1) == [str(i) for i in range(100_000)]", "passed"),
        ("'x' * (17 << 20)", "assert f(1) == 'x' * (17 << 20)", "output"),
        ("__import__('fractions').Fraction(1, 3 ** 100_000)", "assert f(1) != 0", "output"),
    ],
)
def test_long_deep_and_many(pool: sandbox.Pool, value: str, test: str, status: str) -> None:
    assert judge(pool, value, test).status == status


def test_only_large_containers_of_plain_values_have_a_digest() -> None:
    assert large.digest(list(range(10))) == ""
    assert large.digest("x" * large.MIN_BYTES * 2) == ""
    many = [str(i) for i in range(1_000_000)]
    assert large.digest(many).startswith("list:")
    assert large.digest(many) == large.digest([str(i) for i in range(1_000_000)])
    assert large.digest(many) != large.digest(tuple(many))
    assert large.digest([*many, object()]) == ""
