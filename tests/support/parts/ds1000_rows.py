"""Rows of DS-1000: the project's own, and small ones as the benchmark writes them; and their verdicts."""

from zlib import crc32

from harness import sandbox, scorers
from harness.schema import Problem, Snippet, Verdict
from harness.tasks.loading import data_files, registry

TASK = registry.task("ds1000")


def judged(box: sandbox.Pool, *answers: tuple[Problem, str]) -> list[Verdict]:
    return list(scorers.snippets.score(iter(answers), box))


def mini() -> list[Problem]:
    return data_files.load(TASK, "test", data_files.open_source("mini"))


def snippet(compare: str, context: str, reference: str, case: str = "3", rule: str = "") -> Problem:
    """A row of one case: the value `case` goes in, the reference says what comes out."""
    code = (
        f"import numpy as np\nimport copy\n"
        f"def generate_test_case(number):\n"
        f"    x = {case}\n"
        f"    env = {{'test_input': copy.deepcopy(x)}}\n"
        f"    import builtins\n"
        f'    builtins.exec(exec_context.replace("[insert]", {reference!r}), env)\n'
        f"    return x, env['result']\n"
        f"def exec_test(result, ans):\n    {compare}\n    return 1\n"
        f"exec_context = {context!r}\n"
        f"def test_execution(solution):\n"
        f"    code = exec_context.replace('[insert]', solution)\n"
        f"    test_input, expected_result = generate_test_case(1)\n"
        f'    test_env = {{"test_input": test_input}}\n'
        f"    exec(code, test_env)\n"
        f'    assert exec_test(test_env["result"], expected_result)\n{rule}'
    )
    check = Snippet(code=code, wanted=("result",))
    return Problem(
        id=f"ds1000/{crc32(code.encode())}", question="?", solution=reference, check=check, group="Numpy"
    )


EQUAL = "np.testing.assert_array_equal(result, ans)"
DOUBLE = snippet(EQUAL, "x = test_input\n[insert]\n", "result = x * 2", "np.arange(3)")
