"""A worker starts with no more modules than it needs, and programs and tests have all the others as ever."""

import textwrap
from collections.abc import Iterator

import pytest

from harness import sandbox
from harness.schema import ExecResult, Program, UnitTests
from tests.support.rungs import RUNGS, pool_on

# Each costs a millisecond or more of every worker's start, and what it maps is copied for every program.
NOT_NEEDED = {
    "ast",
    "dataclasses",
    "decimal",
    "dis",
    "fractions",
    "hashlib",
    "_hashlib",
    "inspect",
    "lzma",
    "numbers",
}
NOT_NEEDED |= {
    "bz2",
    "importlib.metadata",
    "pathlib",
    "platform",
    "shutil",
    "subprocess",
    "sysconfig",
    "tempfile",
}
NOT_NEEDED |= {"zlib", "zoneinfo"}
TESTERS = {"ast"}  # it reads the tests with it


@pytest.fixture(scope="module", params=RUNGS)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    with pool_on(request.param) as pool:
        yield pool


def judge(pool: sandbox.Pool, code: str, tests: str) -> ExecResult:
    return pool.run(Program(code=textwrap.dedent(code), tests=UnitTests(code=tests, entry_point="f")))


def test_neither_programs_nor_tests_begin_with_modules_that_few_need(pool: sandbox.Pool) -> None:
    loaded = "sorted(set(sys.modules) & names)"
    code = f"import sys\nnames = {NOT_NEEDED}\nloaded = {loaded}\ndef f():\n    return loaded"
    tests = f"import sys\nnames = {NOT_NEEDED - TESTERS}\nassert not f(), f()\nassert not {loaded}, {loaded}"
    assert judge(pool, code, tests).detail == ""


def test_garbage_is_collected_though_not_while_a_worker_starts(pool: sandbox.Pool) -> None:
    judged = judge(
        pool, "import gc\ndef f(): return gc.isenabled()", "import gc\nassert f() and gc.isenabled()"
    )
    assert judged.status == "passed"


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("import decimal\ndef f(): return decimal.Decimal('0.10')", "assert str(f()) == '0.10'"),
        ("def f(): return 1", "import decimal\nassert f() == decimal.Decimal(1)"),
        (
            "def f(x): return [x + 1]",
            "from decimal import Decimal\nassert f(Decimal('.5')) == [Decimal('1.5')]",
        ),
        (
            "def f(x): return {x / 2}",
            "from fractions import Fraction\nassert f(Fraction(1)) == {Fraction(1, 2)}",
        ),
        ("def f(x): return x", "from decimal import Decimal\nassert f(Decimal) is Decimal"),
        (
            "from decimal import Decimal\ndef f(): return Decimal('0.5')",
            "assert f().as_tuple().exponent == -1",
        ),
        (
            "import zoneinfo, datetime\ndef f(x): return x.astimezone(zoneinfo.ZoneInfo('Asia/Tokyo'))",
            "import datetime\nat = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)\nassert f(at).hour == 9",
        ),
        # A class that only calls itself so is none of these.
        (
            "class Decimal: __module__ = 'decimal'\ndef f(): return Decimal()",
            "import decimal\nassert f() != decimal.Decimal(0)",
        ),
    ],
)
def test_a_value_of_such_a_module_passes_between_program_and_tests(
    pool: sandbox.Pool, code: str, tests: str
) -> None:
    assert judge(pool, code, tests).status == "passed"


def test_a_program_imports_all_of_them(pool: sandbox.Pool) -> None:
    code = f"import {', '.join(sorted(NOT_NEEDED))}\nprint(hashlib.sha256(b'').hexdigest()[:8])"
    assert pool.run(Program(code=code)).stdout == "e3b0c442\n"
