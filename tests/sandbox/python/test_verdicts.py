"""What the sandbox says of programs: verdicts, values, honest programs, and whose fault it is."""

import pytest

from harness import sandbox
from harness.errors import ConfigError, SandboxFault, UserError
from harness.sandbox import launch
from harness.schema import ExecResult, Limits, Program, UnitTests
from tests.support.parts.judged_programs import GOOD, SHORT, SQUARE, judge


@pytest.mark.parametrize(
    ("code", "status", "detail"),
    [
        (GOOD, "passed", ""),
        ("def f(x):\n    return x", "failed", "AssertionError at line 1: assert f(2) == 4"),
        ("def f(x):\n    return {}[x]", "error", "KeyError: 2"),
        ("def f(x):\n    assert x == 0", "error", "AssertionError"),
        ("class Mine(ValueError): pass\ndef f(x):\n    raise Mine('no')", "error", "Mine: no"),
        ("import nothing_of_it", "error", "ModuleNotFoundError: No module named 'nothing_of_it'"),
        ("def f(x) return x", "compile_error", "SyntaxError: expected ':' (line 1)"),
        ("x = 'a\0b'", "compile_error", "SyntaxError: source code string cannot contain null bytes"),
        ("g = 1", "error", "NameError: the program does not define the function that the tests call"),
        (
            "f = 1",
            "error",
            "TypeError: the program defines the tested name as something that cannot be called",
        ),
        ("def f(x):\n    while True: pass", "timeout", "more than 0.5 s of CPU time"),
        ("import time\ndef f(x):\n    time.sleep(60)", "timeout", "no end within 1 s"),
        ("def f(x):\n    return len(bytearray(1 << 30))", "memory", "MemoryError"),
        ("def f(x):\n    print('x' * 100000)", "output", "more than 64 KB of output"),
        ("import ctypes\ndef f(x):\n    ctypes.string_at(0)", "signal", "killed by SIGSEGV"),
        ("import os\nos._exit(0)", "error", "the program ended with exit status 0 before its tests did"),
        ("import sys\nsys.exit(0)", "error", "SystemExit: 0"),
        ("", "error", "NameError: the program does not define the function that the tests call"),
    ],
)
def test_verdict_says_what_happened(pool: sandbox.Pool, code: str, status: str, detail: str) -> None:
    result = judge(pool, code)
    assert (result.status, result.detail, result.judge) == (status, detail, "outside")


def test_a_test_that_cannot_use_the_answer_is_the_programs_error(pool: sandbox.Pool) -> None:
    result = judge(pool, "def f(x):\n    return None", "assert f(2) > 1")
    assert result.status == "error"
    assert result.detail.startswith("TypeError: '>' not supported between")


def test_exceptions_reach_the_tests_as_their_builtin_class(pool: sandbox.Pool) -> None:
    code = "class Mine(KeyError): pass\ndef f(x):\n    raise Mine('gone', x)"
    tests = "try:\n    f(1)\nexcept LookupError as error:\n    assert error.args == ('gone', 1)"
    assert judge(pool, code, tests).status == "passed"


def test_details_carry_no_addresses(pool: sandbox.Pool) -> None:
    result = judge(pool, "def f(x):\n    raise ValueError(object())")
    assert result.detail == "ValueError: <object object at 0x...>"


def test_the_same_program_gives_the_same_bytes(pool: sandbox.Pool) -> None:
    code = "import random\ndef f(x):\n    raise ValueError(list({'a', 'b', 'c', 'd', str(random.random())}))"
    details = {result.detail for result in pool.map([Program(code=code, tests=SQUARE)] * 8)}
    assert len(details) == 1


@pytest.mark.parametrize(
    ("answer", "test"),
    [
        ("collections.Counter('aab')", "f(0) == {'a': 2, 'b': 1}"),
        ("collections.defaultdict(list, a=[1])", "f(0) == {'a': [1]}"),
        ("collections.OrderedDict(a=1)", "f(0) == {'a': 1}"),
        ("collections.deque([1, 2])", "f(0) != [1, 2] and list(f(0)) == [1, 2]"),
        ("collections.namedtuple('P', 'x y')(1, 2)", "f(0) == (1, 2)"),
        ("enum.IntEnum('E', 'A').A", "f(0) == 1"),
        ("fractions.Fraction(1, 3)", "f(0) * 3 == 1"),
        ("decimal.Decimal('0.10')", "str(f(0)) == '0.10'"),
        ("float('nan')", "f(0) != f(0)"),
        ("'\\ud800x'", "len(f(0)) == 2"),
        ("10 ** 5000", "f(0) == 10 ** 5000"),
        ("-0.0", "str(f(0)) == '-0.0'"),
        ("range(3)", "f(0) == range(3)"),
        ("[list(range(100)), [0.5] * 100, [True] * 100]", "f(0)[2][0] is True and f(0)[0][99] == 99"),
        ("map(abs, [1])", "f(0) != [1]"),
        ("(i for i in [1, 2])", "list(f(0)) == [1, 2]"),
        ("{'a': 1}.keys()", "sorted(f(0)) == ['a']"),
        ("object()", "f(0) != f(0)"),
    ],
)
def test_values_compare_as_in_plain_python(pool: sandbox.Pool, answer: str, test: str) -> None:
    code = f"import collections, decimal, enum, fractions\ndef f(x):\n    return {answer}"
    result = judge(pool, code, f"assert {test}")
    assert (result.status, result.judge) == ("passed", "outside"), result.detail


def test_an_opaque_value_given_back_is_itself(pool: sandbox.Pool) -> None:
    code = "class Box:\n    value = 7\ndef f(x):\n    return x.value if isinstance(x, Box) else Box()"
    assert judge(pool, code, "assert f(f(0)) == 7").status == "passed"


def test_a_change_of_an_argument_is_seen_where_the_tests_look_at_it(pool: sandbox.Pool) -> None:
    code = "def f(x):\n    x.append(2)\n    return x"
    seen = judge(pool, code, "x = [1]\nf(x)\nassert x == [1]")
    assert (seen.status, seen.judge) == ("failed", "in_process")
    unseen = judge(pool, code, "x = [1]\nassert f(x) == [1, 2]")
    assert (unseen.status, unseen.judge) == ("passed", "outside")


@pytest.mark.parametrize(
    "body",
    [
        "import sys\nsys.setrecursionlimit(10**5)\ng = lambda n: n and g(n - 1) + 1\nassert g(50000) > 9",
        "import threading\nfor _ in range(20):\n    threading.Thread(target=abs, args=(1,)).start()",
        "import tempfile\nfile = tempfile.NamedTemporaryFile('w+')\nfile.write('a' * 10**6)\nfile.flush()",
        "import tempfile, os\nd = tempfile.mkdtemp()\nopen(os.path.join(d, 'a'), 'w').close()",
        "import numpy as np\nassert np.linalg.det(np.eye(50)) == 1.0",
        "import asyncio\nassert asyncio.run(asyncio.sleep(0, 3)) == 3",
        "import concurrent.futures as c\nassert list(c.ThreadPoolExecutor(4).map(abs, [-1] * 9)) == [1] * 9",
        "import hashlib, sqlite3, json, csv, re\nsqlite3.connect(':memory:').execute('select 1').fetchone()",
        "import dataclasses\nD = dataclasses.make_dataclass('D', ['a'])\nassert D(1) == D(1)",
        "b = bytearray(700 << 20)\nb[::4096] = b'x' * len(b[::4096])",
        "print('hello')\nif __name__ == '__main__':\n    input()",
        "import pickle\nassert pickle.loads(pickle.dumps(f)) is f",
        "import sys, io\nsys.stdout = io.StringIO()\nprint('kept')",
    ],
)
def test_honest_programs_work(pool: sandbox.Pool, body: str) -> None:
    result = judge(pool, f"{GOOD}\n{body}", limits=Limits(cpu_s=5, memory_mb=1024))
    assert (result.status, result.detail) == ("passed", "")


def run(pool: sandbox.Pool, code: str, stdin: str = "", limits: Limits | None = None) -> ExecResult:
    return pool.run(Program(code=code, stdin=stdin, limits=limits or Limits(cpu_s=5, output_kb=16384)))


def test_a_whole_program_reads_its_input_and_its_output_is_kept(pool: sandbox.Pool) -> None:
    code = "import sys\nif __name__ == '__main__':\n    print(sum(map(int, sys.stdin)))\n    print(sys.argv)"
    result = pool.run(Program(code=code, stdin="1\n2\n", argv=("a",)))
    assert (result.status, result.stdout, result.judge) == ("passed", "3\n['program.py', 'a']\n", "exit")


def test_ten_megabytes_go_in_and_out(pool: sandbox.Pool) -> None:
    text = "x" * 10_000_000
    result = run(pool, "print(input())", text + "\n")
    assert result.status == "passed"
    assert result.stdout == text + "\n"


@pytest.mark.parametrize(
    ("code", "status", "detail"),
    [
        ("import sys\nsys.exit()", "passed", ""),
        ("import sys\nsys.exit('no')", "error", "exit status 1"),
        ("1 / 0", "error", "ZeroDivisionError: division by zero"),
        ("def", "compile_error", "SyntaxError: invalid syntax (line 1)"),
        ("input()", "error", "EOFError: EOF when reading a line"),
        ("while True: pass", "timeout", "more than 0.5 s of CPU time"),
        ("while True: print('x' * 1000)", "output", "more than 64 KB of output"),
        ("x = [0] * 10**9", "memory", "MemoryError"),
        ("import ctypes\nctypes.string_at(0)", "signal", "killed by SIGSEGV"),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(0.1,)).start()", "passed", ""),
    ],
)
def test_a_whole_program_is_judged_by_its_end(
    pool: sandbox.Pool, code: str, status: str, detail: str
) -> None:
    result = run(pool, code, limits=SHORT)
    assert (result.status, result.detail) == (status, detail)


def test_a_traceback_shows_the_program_and_nothing_of_the_sandbox(pool: sandbox.Pool) -> None:
    result = run(pool, "def g():\n    1 / 0\ng()")
    assert result.stderr == (
        'Traceback (most recent call last):\n  File "program.py", line 3, in <module>\n'
        '  File "program.py", line 2, in g\nZeroDivisionError: division by zero\n'
    )


def test_files_are_next_to_the_program(pool: sandbox.Pool) -> None:
    code = "import helper\nprint(helper.x, open('data/a.txt').read())"
    result = pool.run(Program(code=code, files={"helper.py": "x = 1", "data/a.txt": "text"}))
    assert (result.status, result.stdout) == ("passed", "1 text\n")


HIGHER = "assert f(lambda x: x + 1, 2) == 3\nassert f(abs, -1) == 1"
APPLY = "def f(g, x):\n    return g(x)"


def test_tests_that_pass_functions_run_in_process(pool: sandbox.Pool) -> None:
    right, wrong = judge(pool, APPLY, HIGHER), judge(pool, "def f(g, x):\n    return x", HIGHER)
    assert (right.status, right.judge) == ("passed", "in_process")
    assert (wrong.status, wrong.judge) == ("failed", "in_process")


def test_tests_that_use_more_names_run_in_process(pool: sandbox.Pool) -> None:
    code = "class Node:\n    def __init__(self, v): self.v = v\ndef f(n):\n    return n.v"
    result = judge(pool, code, "assert f(Node(3)) == 3")
    assert (result.status, result.judge) == ("passed", "in_process")


@pytest.mark.parametrize(
    "code",
    [
        "class Yes:\n    def __eq__(self, other): return True\ndef f(g, x): return Yes()",
        "import os\ndef f(g, x): os._exit(0)",
        "import sys\ndef f(g, x): sys.exit(0)",
        "import os\nfor fd in range(3, 6):\n    os.write(fd, b'\\x11\\0\\0\\0P' + bytes(16))",
        "def f(g, x):\n    raise SystemExit",
    ],
)
def test_in_process_the_plain_forgeries_fail(pool: sandbox.Pool, code: str) -> None:
    assert judge(pool, code, HIGHER).status in ("failed", "error")


def test_what_a_candidate_returns_never_moves_the_tests_into_its_process(pool: sandbox.Pool) -> None:
    assert judge(pool, "def f(x):\n    return lambda: 1").judge == "outside"


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        (UnitTests(code="assert f(", entry_point="f"), "the task's tests do not compile"),
        (UnitTests(code="f(1)", entry_point="f", setup="1 / 0"), "the task's setup fails: ZeroDivisionError"),
        (UnitTests(code="pass", entry_point="f"), "the tests never call 'f'"),
        (UnitTests(code="[][0]\nf(1)", entry_point="f"), "fail before they call anything: IndexError"),
    ],
)
def test_a_broken_task_is_a_fault_and_never_a_zero(
    pool: sandbox.Pool, tests: UnitTests, message: str
) -> None:
    with pytest.raises(SandboxFault, match=message):
        pool.run(Program(code=GOOD, tests=tests))
    fault, result = pool.map([Program(code=GOOD, tests=tests), Program(code=GOOD, tests=SQUARE)])
    assert isinstance(fault, SandboxFault)
    assert isinstance(result, ExecResult)


def test_unknown_languages_and_child_processes_are_refused(pool: sandbox.Pool) -> None:
    with pytest.raises(UserError, match="cannot run language 'cobol'"):
        pool.run(Program(code="", language="cobol"))
    with pytest.raises(ConfigError, match="processes has to be 0"):
        pool.run(Program(code="", limits=Limits(processes=1)))


def test_without_any_isolation_nothing_runs_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(isolation: str, *rest: object) -> launch.SandboxWorker:
        raise launch.IsolationUnavailable("not here")

    monkeypatch.setattr(launch, "start_worker", refuse)
    with sandbox.start() as pool, pytest.raises(UserError, match="--sandbox process"):
        pool.run(Program(code=GOOD, tests=SQUARE))


def test_the_process_level_judges_when_it_is_named() -> None:
    with sandbox.start(sandbox.Settings(isolation="process", workers=1)) as pool:
        assert pool.isolation == "process"
        assert judge(pool, GOOD).status == "passed"
        assert judge(pool, "def f(x):\n    while True: pass").status == "timeout"


def test_settings_replace_the_programs_limits() -> None:
    settings = sandbox.Settings(workers=1, time_limit=0.3, memory_mb=64)
    with sandbox.start(settings) as pool:
        assert judge(pool, "def f(x):\n    while True: pass").detail == "more than 0.3 s of CPU time"
        assert judge(pool, "def f(x):\n    return bytearray(100 << 20)").status == "memory"
