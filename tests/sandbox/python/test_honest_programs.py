"""Honest programs work in the sandbox as they do outside it, at every isolation level that this machine offers."""

import importlib.util
import textwrap
from collections.abc import Iterator

import pytest

from harness import sandbox
from harness.schema import ExecResult, Limits, Program, UnitTests
from tests.support.rungs import RUNGS, pool_on

ROOMY = Limits(cpu_s=20, wall_s=60, memory_mb=2048, output_kb=16384)
LINES = "".join(f"{number}\n" for number in range(1_500_000))  # 10.4 MB


@pytest.fixture(scope="module", params=RUNGS)
def pool(request: pytest.FixtureRequest) -> Iterator[sandbox.Pool]:
    with pool_on(request.param, packages=tuple(PACKAGES)) as pool:
        yield pool


def run(pool: sandbox.Pool, code: str, stdin: str = "", limits: Limits = ROOMY) -> ExecResult:
    return pool.run(Program(code=textwrap.dedent(code), stdin=stdin, limits=limits))


def outcome(result: ExecResult) -> tuple[str, str, str]:
    return result.status, result.detail, result.stdout


# ---------------------------------------------------------------- memory, depth, threads, files


def test_memory_just_under_the_limit_can_be_used(pool: sandbox.Pool) -> None:
    limits = Limits(cpu_s=20, memory_mb=1024)
    code = "b = bytearray({} << 20)\nb[::4096] = b'x' * len(b[::4096])\nprint(len(b) >> 20)"
    fits = run(pool, code.format(900), limits=limits)
    assert outcome(fits) == ("passed", "", "900\n")
    assert fits.peak_mb >= 900
    assert run(pool, code.format(1100), limits=limits).status == "memory"


@pytest.mark.parametrize(
    "work",
    [
        "sorted([(i * 7919) % 10**6 for i in range(2 * 10**6)])[0]",
        "len({i: str(i) for i in range(10**6)})",
        "len('x' * (300 << 20))",
    ],
)
def test_large_values_of_ordinary_kinds_work(pool: sandbox.Pool, work: str) -> None:
    assert run(pool, f"print({work} >= 0)").stdout == "True\n"


def test_recursion_a_hundred_thousand_deep_works(pool: sandbox.Pool) -> None:
    code = """
        import sys
        sys.setrecursionlimit(10**6)
        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)
        print(depth(100_000))
    """
    assert outcome(run(pool, code)) == ("passed", "", "100000\n")


def test_recursion_through_c_code_a_hundred_thousand_deep_works(pool: sandbox.Pool) -> None:
    """Each level goes through the C stack, as functools.lru_cache does: 8 MB of it would not be enough."""
    code = """
        import functools, sys
        sys.setrecursionlimit(10**6)
        @functools.lru_cache(None)
        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)
        print(depth(100_000))
    """
    assert outcome(run(pool, code)) == ("passed", "", "100000\n")


def test_a_big_stack_for_a_thread_works(pool: sandbox.Pool) -> None:
    """What contest programs do to recurse."""
    code = """
        import sys, threading
        sys.setrecursionlimit(10**6)
        threading.stack_size(256 << 20)
        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)
        def main():
            print(depth(50_000))
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
    """
    assert outcome(run(pool, code)) == ("passed", "", "50000\n")


def test_endless_recursion_is_the_programs_error(pool: sandbox.Pool) -> None:
    result = run(pool, "def f(): f()\nf()")
    assert (result.status, result.detail) == (
        "error",
        "RecursionError: maximum recursion depth exceeded",
    )


def test_threads_locks_and_queues_work(pool: sandbox.Pool) -> None:
    code = """
        import queue, threading
        from concurrent.futures import ThreadPoolExecutor
        done = queue.Queue()
        threads = [threading.Thread(target=done.put, args=(i,)) for i in range(40)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        print(sorted(done.get() for _ in range(40)) == list(range(40)))
        with ThreadPoolExecutor(16) as pool:
            print(sum(pool.map(abs, range(-1000, 0))))
    """
    assert outcome(run(pool, code)) == ("passed", "", "True\n500500\n")


def test_temporary_files_and_folders_work(pool: sandbox.Pool) -> None:
    code = """
        import os, shutil, tempfile
        from pathlib import Path
        with tempfile.TemporaryFile() as file:
            file.write(b"a" * 10**7)
            file.seek(0)
            print(len(file.read()))
        with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
            file.write("b")
            file.flush()
            print(open(file.name).read())
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "deep/er").mkdir(parents=True)
            (Path(folder) / "deep/er/c.txt").write_text("c")
            shutil.copytree(f"{folder}/deep", f"{folder}/copy")
            os.rename(f"{folder}/copy/er/c.txt", f"{folder}/d.txt")
            print(sorted(os.listdir(folder)))
        Path("here.txt").write_text("kept beside the program")
        print(Path("here.txt").read_text())
        os.remove("here.txt")
    """
    expected = "10000000\nb\n['copy', 'd.txt', 'deep']\nkept beside the program\n"
    assert outcome(run(pool, code)) == ("passed", "", expected)


# ---------------------------------------------------------------- packages


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")


PACKAGES = {
    "numpy": (
        "import numpy as np\na = np.arange(10**6, dtype=float).reshape(1000, 1000)\n"
        "print((a @ a.T).shape, np.linalg.inv(np.eye(300)).sum(), np.random.default_rng(0).integers(1))",
        "(1000, 1000) 300.0 0\n",
    ),
    "pandas": (
        "import io\nimport pandas as pd\nframe = pd.read_csv(io.StringIO('k,v\\na,1\\nb,2\\na,3'))\n"
        "frame.to_csv('out.csv', index=False)\n"
        "print(pd.read_csv('out.csv').groupby('k').v.sum().to_dict(), "
        "pd.date_range('2024-02-28', periods=2)[1].day)",
        "{'a': 4, 'b': 2} 29\n",
    ),
    "sympy": (
        "from sympy import symbols, solve, integrate\nx = symbols('x')\n"
        "print(solve(x**2 - 5 * x + 6, x), integrate(2 * x, x))",
        "[2, 3] x**2\n",
    ),
    "scipy": (
        "from scipy import optimize, sparse\n"
        "print(round(optimize.brentq(lambda x: x * x - 4, 0, 9), 6), sparse.eye(3).sum())",
        "2.0 3.0\n",
    ),
}


@pytest.mark.parametrize(
    "module",
    [
        "ctypes.util",
        "importlib.metadata",
        "importlib.resources",
        "json.tool",
        "encodings.latin_1",
        "re._parser",
    ],
)
def test_parts_of_packages_that_the_interpreter_has_loaded_can_be_imported(
    module: str, pool: sandbox.Pool
) -> None:
    assert outcome(run(pool, f"import {module}\nprint(1)")) == ("passed", "", "1\n")


def test_the_source_of_a_loaded_module_can_be_read(pool: sandbox.Pool) -> None:
    code = "import inspect, random\nprint('def shuffle' in inspect.getsource(random))"
    assert outcome(run(pool, code)) == ("passed", "", "True\n")


@pytest.mark.parametrize("package", PACKAGES)
def test_package_works_under_the_default_memory(package: str, pool: sandbox.Pool) -> None:
    needs(package)
    code, expected = PACKAGES[package]
    assert outcome(run(pool, code, limits=Limits(cpu_s=30, wall_s=60))) == ("passed", "", expected)


def test_the_tests_of_a_function_may_use_numpy_too(pool: sandbox.Pool) -> None:
    needs("numpy")
    tests = UnitTests(code="import numpy as np\nassert f(4) == float(np.eye(4).sum())", entry_point="f")
    code = "import numpy as np\ndef f(n):\n    return np.eye(n).sum()"
    result = pool.run(Program(code=code, tests=tests, limits=ROOMY))
    assert (result.status, result.detail, result.judge) == ("passed", "", "outside")


# ---------------------------------------------------------------- standard input and output


MAIN = """
    import sys
    def main():
        print(sum(int(line) for line in sys.stdin))
    if __name__ == "__main__":
        main()
"""


def test_main_blocks_run_in_a_program_that_reads_its_input(pool: sandbox.Pool) -> None:
    assert outcome(run(pool, MAIN, "1\n2\n3\n")) == ("passed", "", "6\n")


def test_main_blocks_do_not_run_where_a_function_is_tested(pool: sandbox.Pool) -> None:
    code = "def f(x):\n    return x\nif __name__ == '__main__':\n    raise SystemExit(1)"
    tests = UnitTests(code="assert f(1) == 1", entry_point="f")
    assert pool.run(Program(code=code, tests=tests)).status == "passed"


@pytest.mark.parametrize(
    ("code", "stdin", "expected"),
    [
        ("n = int(input())\nprint([input() for _ in range(n)])", "2\na\nb\nnever read", "['a', 'b']\n"),
        ("import sys\nprint(next(sys.stdin), end='')\nprint(sys.stdin.read())", "a\nb\nc", "a\nb\nc\n"),
        (
            "import sys\nprint([line.strip() for line in iter(sys.stdin.readline, '')])",
            "a\nb",
            "['a', 'b']\n",
        ),
        ("import sys\nprint(sys.stdin.buffer.readline(), sys.stdin.buffer.read())", "a\nb", "b'a\\n' b'b'\n"),
        ("import os\nprint(os.read(0, 2))", "abc", "b'ab'\n"),
        ("print(open(0).read())", "abc", "abc\n"),
        ("import fileinput\nprint(list(fileinput.input()))", "a\nb", "['a\\n', 'b']\n"),
        (
            "while True:\n    try:\n        print(input())\n    except EOFError:\n        break",
            "a\n\nb",
            "a\n\nb\n",
        ),
        ("import sys\nsys.stdin.seek(0)\nprint(sys.stdin.read(1))", "abc", "a\n"),
        ("print(1)", "never read\n" * 1000, "1\n"),
        ("print(ascii(input()))", "a\r\nb", "'a\\r'\n"),
        ("print(ascii(input()))", "é\U0001f600", "'\\xe9\\U0001f600'\n"),
    ],
)
def test_input_can_be_read_as_lazily_as_a_program_likes(
    code: str, stdin: str, expected: str, pool: sandbox.Pool
) -> None:
    assert outcome(run(pool, code, stdin)) == ("passed", "", expected)


@pytest.mark.parametrize(
    "read",
    ["sum(map(int, sys.stdin))", "sum(map(int, sys.stdin.buffer.read().split()))"],
)
def test_ten_megabytes_of_input_are_read(read: str, pool: sandbox.Pool) -> None:
    assert len(LINES) > 10_000_000
    assert outcome(run(pool, f"import sys\nprint({read})", LINES)) == ("passed", "", "1124999250000\n")


def test_ten_megabytes_of_output_are_kept_where_they_are_allowed(pool: sandbox.Pool) -> None:
    code = "for number in range(1_500_000):\n    print(number)"
    result = run(pool, code)
    assert (result.status, result.detail) == ("passed", "")
    assert result.stdout == LINES


def test_ten_megabytes_of_output_are_cut_where_they_are_not(pool: sandbox.Pool) -> None:
    code = "for number in range(1_500_000):\n    print(number)"
    result = run(pool, code, limits=Limits(cpu_s=20, output_kb=1024))
    assert (result.status, result.detail) == ("output", "more than 1024 KB of output")
    assert result.stdout == LINES[: 1 << 20]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('é', '\\u4e2d', '\\U0001f600')", "é 中 \U0001f600\n"),
        ("print('a\\0b')", "a\0b\n"),
        ("import sys\nsys.stdout.buffer.write(b'\\xff\\xfe\\n')", "\\xff\\xfe\n"),
        ("print('a\\rb\\x1b[0m')", "a\rb\x1b[0m\n"),
        ("print('no newline', end='')", "no newline"),
        ("import sys\nsys.stdout.reconfigure(encoding='latin-1')\nprint('é')", "\\xe9\n"),
        ("import os\nos.write(1, b'raw\\n')\nprint('after')", "raw\nafter\n"),
    ],
)
def test_whatever_is_printed_is_kept_printable(code: str, expected: str, pool: sandbox.Pool) -> None:
    assert outcome(run(pool, code)) == ("passed", "", expected)


def test_a_lone_surrogate_cannot_be_printed_as_in_plain_python(pool: sandbox.Pool) -> None:
    result = run(pool, "print('\\ud800')")
    assert result.status == "error"
    assert result.detail.startswith("UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800'")


def test_bytes_that_are_no_text_reach_a_program_as_they_are(pool: sandbox.Pool) -> None:
    result = run(pool, "import sys\nprint(sys.stdin.buffer.read())", "a\udcff\udc80")
    assert outcome(result) == ("passed", "", "b'a\\xff\\x80'\n")


# ---------------------------------------------------------------- what programs take for granted


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print(open('/dev/stdin').read().split())", "['5', '6']\n"),
        ("print(open('/proc/self/fd/0').readline().strip())", "5\n"),
        ("import os\nos.write(os.open('/dev/stdout', os.O_WRONLY), b'out\\n')", "out\n"),
        ("print('gone', file=open('/dev/stderr', 'w'))", ""),
        ("print('a')\nexit()\nprint('b')", "a\n"),
        ("print('a')\nquit(0)", "a\n"),
        ("print(callable(help) and callable(license))", "True\n"),
        ("print(len(str(3**12000)))", "5726\n"),
        (
            "from multiprocessing.pool import ThreadPool\nwith ThreadPool(8) as pool:\n"
            "    print(sum(pool.imap_unordered(abs, range(-50, 50))))",
            "2500\n",
        ),
        (
            "import multiprocessing as m, threading\nlock, left, n = m.RLock(), m.Semaphore(2), 0\n"
            "def work():\n    global n\n    for _ in range(100):\n        with lock, lock, left:\n            n += 1\n"
            "all = [threading.Thread(target=work) for _ in range(8)]\n[t.start() for t in all]\n"
            "[t.join() for t in all]\nprint(n, lock.acquire(timeout=0), left.get_value())",
            "800 True 2\n",
        ),
        (
            "import multiprocessing as m\nq = m.Queue()\nq.put([1])\nprint(q.get(), m.Lock().acquire())",
            "[1] True\n",
        ),
        (
            "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *_: print('caught'))\n"
            "os.kill(os.getpid(), signal.SIGUSR1)\nsignal.raise_signal(signal.SIGUSR1)",
            "caught\ncaught\n",
        ),
        ("import sqlite3\nd = sqlite3.connect('d.db')\nprint(d.execute('select 1').fetchall())", "[(1,)]\n"),
        ("import os\nos.makedirs('/'.join('abcdefghij'))\nprint(sum(1 for _ in os.walk('.')))", "11\n"),
    ],
)
def test_what_programs_take_for_granted_is_there(pool: sandbox.Pool, code: str, printed: str) -> None:
    assert outcome(run(pool, code, "5\n6\n")) == ("passed", "", printed)


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 15)", "signal.raise_signal(9)", "os.abort()"])
def test_a_signal_that_a_program_sends_itself_ends_it(pool: sandbox.Pool, how: str) -> None:
    result = run(pool, f"import os, signal\nprint(1, flush=True)\n{how}\nprint(2)")
    assert (result.status, result.stdout) == ("signal", "1\n")


def test_as_many_threads_start_as_the_documentation_says(pool: sandbox.Pool) -> None:
    code = """
        import os, threading, time
        started = 0
        try:
            while started < 100:
                threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
                started += 1
        except RuntimeError:
            pass
        print(started, flush=True)
        os._exit(0)
        """
    assert outcome(run(pool, code)) == ("passed", "", "64\n")
