"""MultiPL-E: how an answer is read in each language, what is known of the published rows, and what cannot run."""

import json
import random
from pathlib import Path

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError
from harness.files import packaged
from harness.sandbox.languages import falsify
from harness.schema import Completion, InlineTests, Problem
from harness.tasks import multipl_e
from harness.tasks.families.translated_tests import LANGUAGES
from harness.tasks.loading import registry
from tests.support import polyglot_programs
from tests.support.parts.task_rows import load

RUN = [name for name, language in LANGUAGES.items() if language.runs]
each_language = pytest.mark.parametrize("language", RUN)


def read(language: str, problem: Problem, text: str, form: str = "output") -> str:
    said = Completion.model_validate({"text": text, "form": form})
    return registry.task("multipl_e", {"language": language}).extract(problem, said)


def fenced(code: str) -> str:
    return f"Here it is:\n\n```\n{code}\n```\nIt does what was asked."


@each_language
def test_a_function_in_a_chat_is_the_program_that_a_continuation_makes(language: str) -> None:
    """However much of the prompt is said again; what follows the function is left out where the tests close it."""
    for problem in load("multipl_e", {"language": language}, "test"):
        going_on = read(language, problem, problem.solution, "continuation")
        whole = read(language, problem, fenced(problem.question + problem.solution))
        assert whole.split() == going_on.split()
        assert read(language, problem, fenced(problem.solution)).split() == going_on.split()


@each_language
def test_a_continuation_ends_at_the_rows_first_stop_token(language: str) -> None:
    problem = load("multipl_e", {"language": language}, "test")[0]
    for stop in problem.parts["stop"].split("\0"):
        text = f"  x{stop} and more"
        assert multipl_e.cut(text, problem.parts["stop"].split("\0")) == "  x"
        assert read(language, problem, text, "continuation").endswith("  x")


@pytest.mark.parametrize("language", ["js", "lua", "php", "pl", "r", "rb", "rkt", "sh"])
def test_a_function_without_what_stands_above_it_passes_in_a_chat(language: str, box: sandbox.Pool) -> None:
    if polyglot_programs.missing(LANGUAGES[language].runs):
        pytest.skip(polyglot_programs.missing(LANGUAGES[language].runs))
    answers = []
    for problem in load("multipl_e", {"language": language}, "test"):
        signature = problem.question.strip().split("\n")[-1]
        if language == "pl":
            signature = "\n".join(problem.question.strip().split("\n")[-2:])
        answers.append((problem, read(language, problem, fenced(f"{signature}\n{problem.solution}"))))
    assert [each.status for each in scorers.unit_tests.score(iter(answers), box)] == ["passed"] * 2


def test_a_java_class_of_another_name_and_its_imports_are_put_right() -> None:
    problem = load("multipl_e", {"language": "java"}, "test")[0]
    code = read(
        "java",
        problem,
        fenced(
            "import java.util.function.*;\npublic class Solution {\n    public static long cappedSum("
            "ArrayList<Long> numbers, long limit) {\n        if (limit > 0) { limit--; }\n        return 1;\n    }\n\n"
            "    public static void main(String[] args) {\n    }\n}"
        ),
    )
    assert "import java.util.*;\n" in code
    assert "class Problem {\n    public static long cappedSum" in code
    assert code.endswith("return 1;\n    ")
    assert "public class" not in code


# The function, a main of its own and what it calls: each below the one before.
WITH_HELPERS = {
    "java": """class Solution
{
    public static long cappedSum(ArrayList<Long> numbers, long limit)
    {
        long sum = 0;
        for (long each : numbers) { sum = capped(sum + each, limit, '}'); }
        return sum;
    }

    public static void main(String[] args) {
        System.out.println("{");
    }

    private static long capped(long value, long limit, char mark) {
        return new Smaller(value, limit).value;
    }

    static class Smaller {
        long value;
        Smaller(long one, long other) { value = Math.min(one, other); }
    }
}""",
    "cs": """using System;
using System.Collections.Generic;

struct Pair
{
    public long First;
}

public static class Program
{
    public static long CappedSum(List<long> numbers, long limit)
    {
        var pair = new Pair();
        foreach (var each in numbers) { pair.First = Capped(pair.First + each, limit, "}"); }
        return pair.First;
    }

    public static void Main()
    {
        Console.WriteLine("{");
    }

    private static long Capped(long value, long limit, string mark) => Math.Min(value, limit);
}""",
    "scala": """object Solution {
  final def cappedSum(numbers: List[Long], limit: Long): Long = {
    numbers.foldLeft(0L) { (sum, each) => capped(sum + each, limit, "}") }
  }

  def main(args: Array[String]): Unit = {
    println("{")
  }

  private def capped(value: Long, limit: Long, mark: String): Long = if (value < limit) value else limit
}""",
    "cpp": """#include <vector>
long capped(long value, long limit, char mark);

long capped_sum(std::vector<long> numbers, long limit)
{
    long sum = 0;
    for (long each : numbers) { sum = capped(sum + each, limit, '}'); }
    return sum;
}

int main() {
    return capped_sum({1}, 2) == '{';
}

long capped(long value, long limit, char mark) {
    return std::min(value, limit);
}""",
}


@pytest.mark.parametrize("language", WITH_HELPERS)
def test_a_function_keeps_what_stands_below_it_but_for_main(language: str, box: sandbox.Pool) -> None:
    if polyglot_programs.missing(LANGUAGES[language].runs):
        pytest.skip(polyglot_programs.missing(LANGUAGES[language].runs))
    problem = load("multipl_e", {"language": language}, "test")[0]
    code = read(language, problem, fenced(WITH_HELPERS[language]))
    assert "ain(" not in code
    (verdict,) = scorers.unit_tests.score(iter([(problem, code)]), box)
    assert verdict.status == "passed", verdict.error


def test_what_stands_below_a_function_of_cpp_stays_below_it() -> None:
    """Without a declaration above it does not compile, and that is the answer's own fault."""
    problem = load("multipl_e", {"language": "cpp"}, "test")[0]
    code = read("cpp", problem, fenced(WITH_HELPERS["cpp"]))
    assert code.index("long capped_sum(") < code.index("long capped(long value, long limit, char mark) {")


def test_the_class_around_the_function_is_renamed_and_no_other() -> None:
    problem = load("multipl_e", {"language": "java"}, "test")[0]
    pair = "class Pair {\n    long first;\n}\n\n"
    inside = (
        "    public static long cappedSum(ArrayList<Long> numbers, long limit) {\n        return 1;\n    "
    )
    for head in ("final class Solution{", "public class Problem\n{", "class Problem {"):
        code = read("java", problem, fenced(f"{pair}{head}\n{inside}}}\n}}"))
        assert code.endswith(f"{pair}class Problem {{\n{inside}")
        assert code.count("class ") == 2


def test_go_packages_that_an_answer_uses_are_imported_below_the_tests_own() -> None:
    problem = load("multipl_e", {"language": "go"}, "test")[0]
    code = read(
        "go",
        problem,
        fenced(
            'package x\n\nimport (\n    "fmt"\n    "sort"\n    "os"\n)\n\n'
            "func capped_sum(numbers []int, limit int) int {\n    sort.Ints(numbers)\n    return 1\n}"
        ),
    )
    assert code.startswith('import "sort"\n\n')
    assert "package" not in code
    assert "os" not in code
    assert isinstance(problem.check, InlineTests)
    assert problem.check.before.startswith("package capped_sum_test\n")


def test_a_right_null_of_csharp_is_compared_without_calling_it() -> None:
    tests = "    }\n    public static void Main(string[] args) {\n    Debug.Assert(F((1L)).Equals(null));\n    }\n\n}\n"
    assert "Debug.Assert(F((1L)) == null);" in multipl_e.inline_tests("cs", tests).after


def test_the_hubs_layout_and_json_lines_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    text = packaged("tasks/mini/multipl_e/humaneval-lua.jsonl").read_text(encoding="utf-8")
    folder = tmp_path / "multipl_e" / "mbpp-lua"
    folder.mkdir(parents=True)
    rows = [{**json.loads(line), "name": f"mbpp_{n}_f"} for n, line in enumerate(text.splitlines())]
    parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "test-00000-of-00001.parquet")
    found = load("multipl_e", {"language": "lua", "dataset": "mbpp"}, "test", str(tmp_path))
    assert [each.id for each in found] == ["mbpp_0_f", "mbpp_1_f"]
    assert found[0].parts["stop"].split("\0") == list(LANGUAGES["lua"].stop)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"language": "cobol"}, "no language 'cobol'"),
        ({"language": "swift"}, "Swift cannot run in the sandbox yet, so its rows were not run"),
        ({"dataset": "apps"}, "no dataset 'apps'"),
    ],
)
def test_what_cannot_run_is_one_line(options: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        registry.task("multipl_e", options)


@each_language
def test_the_published_rows_are_there_and_each_of_them_can_be_falsified(
    language: str, real_data: Path
) -> None:
    problems = load("multipl_e", {"language": language}, "test", str(real_data))
    assert len(problems) == multipl_e.SIZES[language]
    for problem in problems:
        check = problem.check
        assert isinstance(check, InlineTests)
        assert falsify.versions(check.language, check.after, 1, random.Random(0)), problem.id
        assert multipl_e.entry_point(LANGUAGES[language], problem.question), problem.id
        assert problem.parts["stop"].split("\0") == list(LANGUAGES[language].stop)
        assert problem.solution == ""
