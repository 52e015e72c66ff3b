"""Test suites in Java and JavaScript: good ones count, empty ones do not, and both notice what they look at."""

from collections.abc import Iterator

import pytest

from harness import sandbox
from harness.prompts.templates import render
from harness.schema import Completion, Limits, Problem, UnderTest, Verdict
from harness.scorers import generated_tests
from harness.scorers.execution.suite_source import build_suite
from harness.tasks.families import single_source
from harness.tasks.loading import data_files, registry
from harness.text import brace_mutants
from tests.support.polyglot_programs import missing

LIMITS = Limits(cpu_s=5.0, wall_s=120.0, memory_mb=1024)
CODE = {
    "javascript": """\
/* Grade { the points.
   >>> grade(50) */
const grade = (points) => {
  if (points < 0) {
    throw new Error('negative // points')
  }
  return points >= 50 ? 'pass' : 'fail'
}
""",
    "java": """\
import java.util.*;

class Solution {
    // one of { "pass" }
    public boolean grade(int points) {
        if (points < 0) {
            return false;
        }
        return points >= 50;
    }
}
""",
}
OWN = {
    "javascript": "console.assert(grade(50) === 'pass')\nconsole.assert(grade(49) === 'fail')\n"
    "try { grade(-1); console.assert(false) } catch (error) { console.assert(/negative/.test(error.message)) }\n",
    "java": "public class Main {\n    public static void main(String[] args) {\n        Solution s = new Solution();\n"
    "        List<Boolean> correct = Arrays.asList(s.grade(50), !s.grade(49), !s.grade(-1));\n"
    "        if (correct.contains(false)) {\n            throw new AssertionError();\n        }\n    }\n}\n",
}
JAVA_HEAD = "class Checks {\n    public static void main(String[] args) {\n"
HONEST = {
    "javascript": ["const grade = (points) => { return 'x' }\nconst other = require('./grade')\n"
                   "console.assert(grade(60) === 'pass')",
                   "const assert = require('assert');\nassert.strictEqual(grade(60), 'pass');"],
    "java": ["package a;\nimport java.util.stream.*;\nclass Solution { boolean grade(int x) { return true; } }\n"
             f"public {JAVA_HEAD}        assert new Solution().grade(60);\n    }}\n}}\n"],
}  # fmt: skip
# (suite, status, words of the reason)
WORTHLESS = {
    "javascript": [
        ("", "failed", "blank"),
        ("grade(60)", "failed", "pass whatever"),
        ("process.exit(0)\nconsole.assert(grade(60) === 'pass')", "failed", "pass whatever"),
        ("console.assert(grade(60) === 'fail')", "failed", "on the function itself"),
        ("console.assert(grade.toString().length === 127 && grade(60) === 'pass')", "failed", "on the function itself"),
    ],
    "java": [
        (f"{JAVA_HEAD}        new Solution().grade(60);\n    }}\n}}", "failed", "pass whatever"),
        ("Here are some tests.", "compile_error", "on the function itself"),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def box() -> Iterator[sandbox.Pool]:
    with sandbox.start() as pool:
        yield pool


def problem(language: str, mutants: int) -> Problem:
    tests = single_source.inline_tests(language, OWN[language], silent=False)
    tests = tests.model_copy(update={"limits": LIMITS})
    check = UnderTest(code=CODE[language], tests=tests, entry_point="grade", mutants=mutants)
    return Problem(id="JavaScript/0", question=CODE[language], solution=OWN[language], check=check)


def judge(language: str, mutants: int, box: sandbox.Pool) -> list[Verdict]:
    if missing(language):
        pytest.skip(missing(language))
    one = problem(language, mutants)
    suites = [OWN[language], *HONEST[language], *(suite for suite, _, _ in WORTHLESS[language])]
    return list(generated_tests.score([(one, suite) for suite in suites], box))


@pytest.mark.parametrize(("language", "mutants"), [("javascript", 8), ("java", 2)])
def test_good_suites_count_and_those_that_test_nothing_are_worth_nothing(
    language: str, mutants: int, box: sandbox.Pool
) -> None:
    own, *rest = judge(language, mutants, box)
    honest, worthless = rest[: len(HONEST[language])], rest[len(HONEST[language]) :]
    assert own.score is not None
    lines, of_lines, arms, of_arms, killed, kept, made = own.score.stats
    assert (lines, arms) == (of_lines, of_arms) == (3, 1)
    assert killed == kept
    assert 0 < kept <= made <= mutants
    for verdict in honest:
        assert (verdict.status, verdict.error) == ("passed", "")
        assert verdict.score is not None
        assert verdict.score.stats[:3] == (2, 3, 0)  # without the branch of negative points
    for verdict, (_, status, reason) in zip(worthless, WORTHLESS[language], strict=True):
        assert (verdict.status, verdict.score and verdict.score.value) == (status, 0.0)
        assert reason in verdict.error


def test_faults_are_put_into_the_function_and_never_into_a_literal_or_comment() -> None:
    code = CODE["javascript"]
    made = brace_mutants.make_mutants(code, 100, "javascript")
    assert (
        len(made) == 12
    )  # < and >= twice each, 0 and 50 twice each, the three texts emptied, nothing returned
    assert all(each.startswith(code[: code.index("const")]) for each in made)
    assert all("negative // points" in each or "Error('')" in each for each in made)
    java = brace_mutants.make_mutants(CODE["java"], 100, "java")
    assert not [each for each in java if '// one of { "pass" }' not in each]
    assert brace_mutants.stubbed_versions(CODE["java"], "grade", "java")[1].count("return true;") == 1
    assert brace_mutants.stubbed_versions(code, "mark", "javascript") == ()


def test_a_suite_is_put_together_without_what_it_may_not_bring() -> None:
    java = build_suite(HONEST["java"][0], "grade", "java")
    assert java is not None
    assert "".join(java.split()) == (
        "importjava.util.stream.*;classSuite_{publicstaticvoidmain(String[]args){assertnewSolution().grade(60);}}"
    )
    script = build_suite(HONEST["javascript"][0], "grade", "javascript")
    assert script == "\nconsole.assert(grade(60) === 'pass')"


@pytest.mark.parametrize("language", ["java", "javascript"])
def test_prompts_name_the_language_and_the_tests_are_found_in_the_output(language: str) -> None:
    made = registry.task("unit_test_gen", {"language": language})
    one, shot, *_ = data_files.load(made, "test", data_files.open_source("mini"))
    assert isinstance(one.check, UnderTest)
    asked = {t.name: render(t, one, [shot]) for t in made.templates}
    assert asked["plain"].text.endswith(f"{one.question}\n\n// Tests of the code above.\n")
    assert f"```{language}\n{one.question}\n```" in asked["instruction"].text
    assert asked["chat"].messages[1].content == f"```{language}\n{shot.solution}\n```"
    assert "HARNESS_PROOF" not in one.solution
    said = f"Sure:\n```{language}\n{one.question}\n```\nand\n```{language}\n{one.solution}\n```"
    found = made.extract(one, Completion(text=said, finish="stop"))
    assert found.strip().endswith(one.solution.strip())
    suite = build_suite(
        found, one.check.entry_point, language
    )  # without the function, which may be said again
    assert suite is not None
    assert one.solution.strip().splitlines()[-2].strip() in suite
    assert ("best" in found, "best" in suite) == (True, False)
