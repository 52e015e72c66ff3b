"""MultiPL-E: the forms in which models define a function, and those of older rows."""

from collections.abc import Mapping

import pytest

from harness import sandbox, scorers
from harness.schema import Completion, InlineTests, Problem
from harness.tasks import multipl_e
from harness.tasks.families.translated_tests import LANGUAGES
from harness.tasks.loading import registry
from tests.support import polyglot_programs
from tests.support.parts.task_rows import load


def read(language: str, code: str) -> tuple[Problem, str]:
    problem = load("multipl_e", {"language": language}, "test")[0]
    said = Completion(text=f"Here it is:\n\n```\n{code}\n```\nIt does what was asked.", form="output")
    return problem, registry.task("multipl_e", {"language": language}).extract(problem, said)


# The body is an expression: the class alone has brackets, or nothing has.
EXPRESSIONS: Mapping[str, tuple[str, ...]] = {
    "cs": (
        "public static long CappedSum(List<long> numbers, long limit) => Math.Min(numbers.Sum(), limit);",
        "class Problem { public static long CappedSum(List<long> all, long limit) => Math.Min(all.Sum(), limit); }",
        """public static class Program
{
    static T Same<T>(T x) where T : struct { return x; }

    public static long CappedSum(List<long> numbers, long limit) =>
        new Func<long>(() => { return Least(Same(numbers.Sum()), limit, "}"); })();

    static long Least(long a, long b, string mark) => a < b ? a : b;

    public static void Main(string[] args) => Console.WriteLine(CappedSum(new List<long>{1L}, 3L));
}""",
    ),
    "scala": (
        "def cappedSum(numbers: List[Long], limit: Long): Long = least(numbers.sum, limit)\n\n"
        "def least(a: Long, b: Long): Long = if (a < b) a else b",
        """object Solution extends App {
  def cappedSum(numbers: List[Long], limit: Long): Long =
    kept(numbers.sum match {
      case sum if sum < limit => sum
      case _ => limit
    }, x => x)

  def kept(value: Long, how: Long => Long): Long = {
    List(how(value), value)
  }.min

  def main(words: Array[String]): Unit = println(cappedSum(List(1L), 2L))
}""",
    ),
}
DEFINITIONS: Mapping[str, tuple[str, ...]] = {
    "r": (
        "capped_sum = function(numbers, limit) min(sum(numbers), limit)",
        "capped_sum <- \\(numbers, limit) min(sum(numbers), limit)",
        '"capped_sum" <- function(numbers, limit) {\n  min(sum(numbers), limit)\n}',
        "`capped_sum` <-\n  function(numbers, limit) {\n  min(sum(numbers), limit)\n}",
        "capped_sum <<- function (numbers, limit) {\n  min(sum(numbers), limit)\n}",
    ),
    "d": (
        "auto capped_sum(long[] numbers, long limit) {\n    return least(numbers, limit);\n}",
        "@safe pure long capped_sum(long[] numbers, long limit) {\n    return least(numbers, limit);\n}",
        "static long capped_sum(in long[] numbers, long limit) pure @safe\n{\n    return least(numbers, limit);\n}",
        "T capped_sum(T)(T[] numbers, T limit) if (is(T == long)) {\n    return least(numbers, limit);\n}",
        "alias capped_sum = (long[] numbers, long limit) => least(numbers, limit);",
        "pure @safe\nlong\ncapped_sum(long[] numbers, long limit) { return least(numbers, limit); }",
    ),
}
D_HELPER = (
    "\n\nlong least(in long[] numbers, long limit) pure @safe {\n    long sum = 0;\n"
    "    foreach (each; numbers) sum += each;\n    return sum < limit ? sum : limit;\n}"
)


SLOW = {"r", "scala"}  # whose programs take seconds each: of them only the last one is run


def passes(language: str, answers: list[tuple[Problem, str]], box: sandbox.Pool) -> None:
    if missing := polyglot_programs.missing(LANGUAGES[language].runs):
        pytest.skip(missing)
    found = [(each.status, each.error) for each in scorers.unit_tests.score(iter(answers), box)]
    assert found == [("passed", "")] * len(answers)


@pytest.mark.parametrize("language", EXPRESSIONS)
def test_a_function_whose_body_is_an_expression_passes(language: str, box: sandbox.Pool) -> None:
    codes = EXPRESSIONS[language][-1 if language in SLOW else 0 :]
    passes(language, [read(language, code) for code in codes], box)


@pytest.mark.parametrize("language", DEFINITIONS)
def test_each_way_to_define_a_function_passes(language: str, box: sandbox.Pool) -> None:
    helper = D_HELPER if language == "d" else ""
    codes = DEFINITIONS[language][-1 if language in SLOW else 0 :]
    passes(language, [read(language, code + helper) for code in codes], box)


@pytest.mark.parametrize("language", DEFINITIONS)
def test_each_way_to_define_a_function_is_a_whole_answer(language: str) -> None:
    for code in DEFINITIONS[language]:
        _, program = read(language, code)
        assert program.replace("import std.math;\n", "") == f"{code}\n"


@pytest.mark.parametrize(
    ("language", "code"), [(name, code) for name in EXPRESSIONS for code in EXPRESSIONS[name]]
)
def test_nothing_of_an_expression_is_cut_and_the_tests_close_what_stands_behind_it(
    language: str, code: str
) -> None:
    _, program = read(language, code)
    assert program.rstrip().endswith(multipl_e._OPENED[language].strip())
    assert program.count("least") + program.count("Least") == code.count("least") + code.count("Least")
    assert sum((sign == "{") - (sign == "}") for sign in multipl_e.mask(program)) == 2


@pytest.mark.parametrize(
    ("language", "body"),
    [
        ("d", "{\n    if (limit < 1) return limit;\n    return capped_sum(numbers, limit - 1);\n}"),
        ("cs", "        if (limit < 1L) { return limit; }\n        return CappedSum(numbers, limit - 1L);"),
        ("java", "        if (limit < 1) { return limit; }\n        return cappedSum(numbers, limit - 1);"),
        ("r", "  my_capped_sum <- function(a, b) min(sum(a), b)\n  my_capped_sum(numbers, limit)\n}"),
        ("cpp", "    if (limit < 1) { return limit; }\n    return capped_sum(numbers, limit - 1);"),
    ],
)  # fmt: skip
def test_a_body_that_calls_the_function_or_one_of_a_longer_name_is_no_definition_of_it(
    language: str, body: str
) -> None:
    problem, program = read(language, body)
    assert program.startswith(problem.question)


# ---------------------------------------------------------------- rows of 2022

OLD_R = """test_humaneval <- function() {
candidate <- times
    if(!identical(candidate('', 'x'), 0)){quit('no', 1)}
    if(!identical(candidate('(}', ')'), 2)){quit('no', 1)}
}"""


@pytest.mark.parametrize("tests", [OLD_R, f"{OLD_R}\ntest_humaneval()"])
def test_tests_of_r_that_quit_or_are_never_called_are_run_in_the_later_form(tests: str) -> None:
    assert multipl_e.inline_tests("r", tests).after == (
        "\ntest_humaneval <- function() {\ncandidate <- times\n"
        "    stopifnot(identical(candidate('', 'x'), 0))\n    stopifnot(identical(candidate('(}', ')'), 2))\n"
        "}\ntest_humaneval()\ncat('\\n@@HARNESS_PROOF@@\\n')\n"
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("  if (nchar(string) == 2) 2 else 0\n}\n", "passed"),
        ("  0\n}\n", "failed"),
        ("  0\n}\nquit <- function(...) NULL\nstopifnot <- function(...) NULL\n", "failed"),
    ],
)
def test_a_wrong_answer_to_an_old_row_of_r_fails(body: str, status: str, box: sandbox.Pool) -> None:
    if missing := polyglot_programs.missing("r"):
        pytest.skip(missing)
    row = {
        "name": "HumanEval_0_times",
        "prompt": "times <- function(string, part) {\n",
        "stop_tokens": ["\n#"],
    }
    problem = multipl_e._problem({**row, "tests": OLD_R}, "r")
    code = multipl_e.program("r", problem, Completion(text=body, form="continuation"))
    (score,) = scorers.unit_tests.score(iter([(problem, code)]), box)
    assert score.status == status, score.error


def test_tests_that_state_nothing_that_is_understood_are_no_check() -> None:
    with pytest.raises(ValueError, match="state no expectation in a form that is known"):
        multipl_e.inline_tests("r", "candidate <- f\nif (candidate(1) != 2) stop('no')\n")
    assert isinstance(multipl_e.inline_tests("r", "stopifnot(f(1) == 2)"), InlineTests)
