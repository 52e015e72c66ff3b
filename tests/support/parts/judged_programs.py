"""Programs judged by small tests, under limits that end a bad one soon."""

from harness import sandbox
from harness.schema import ExecResult, Limits, Program, UnitTests

SQUARE = UnitTests(code="assert f(2) == 4\nassert f(-3) == 9", entry_point="f")
GOOD = "def f(x):\n    return x * x"
SHORT = Limits(cpu_s=0.5, wall_s=1.0, memory_mb=256, output_kb=64)


def judge(pool: sandbox.Pool, code: str, tests: str = "", limits: Limits = SHORT) -> ExecResult:
    check = UnitTests(code=tests, entry_point="f") if tests else SQUARE
    return pool.run(Program(code=code, tests=check, limits=limits))
