"""HumanEvalPack: upstream's prompts to the letter, programs put together its way, and explanations from another run."""

from pathlib import Path

import pytest

from harness import sandbox, scorers
from harness.config import identity
from harness.errors import ConfigError, DataError
from harness.files import packaged
from harness.prompts import templates
from harness.schema import Completion, DataFile, Form, Problem, Verdict
from harness.tasks.families import single_source
from harness.tasks.loading import data_files, registry
from tests.support import polyglot_programs
from tests.support.command import harness, rows, write_rows
from tests.support.parts.task_rows import load

LANGUAGES = ("python", "java", "cpp", "javascript", "go", "rust")
SHORT = {"javascript": "js"}
DESCRIBED = packaged("tasks/mini/humanevalpack/described")

BEGUN = "def digit_sum(number: int) -> int:"
DOCSTRING = (
    '    """ Add up the decimal digits of a whole number; the sign does not count.\n'
    '    >>> digit_sum(-307)\n    10\n    """\n'
)
BUGGY = "    return sum(int(digit) for digit in str(number + 1)[1:])\n"
TESTS = (
    "\n\ndef check(digit_sum):\n    assert digit_sum(-307) == 10\n    assert digit_sum(0) == 0\n"
    "    assert digit_sum(99999) == 45\n\ncheck(digit_sum)"
)
ASKED = (
    "Write a Python function `digit_sum(number: int) -> int` to solve the following problem:\n"
    "Add up the decimal digits of a whole number; the sign does not count.\n>>> digit_sum(-307)\n10"
)
RIGHT = "    return sum(int(digit) for digit in str(abs(number)))\n"
DESCRIBE = "Provide a concise natural language description of the code using at most 92 characters."
WRITE = "Write functional code in Python according to the description."
SAID = "Gives the sum of the digits of an integer without its sign."


def problems(kind: str = "fix_tests", language: str = "python", data: str = "mini") -> list[Problem]:
    more = {"explanations": str(DESCRIBED)} if kind == "explain" else {}
    return load("humanevalpack", {"kind": kind, "language": language, **more}, "test", data)


def answer(problem: Problem, text: str, language: str = "python", form: Form = "continuation") -> str:
    task = registry.task("humanevalpack", {"language": language})
    return task.extract(problem, Completion(text=text, form=form))


def judge(box: sandbox.Pool, pairs: list[tuple[Problem, str]]) -> list[Verdict]:
    return list(scorers.unit_tests.score(iter(pairs), box))


def need(language: str) -> None:
    if polyglot_programs.missing(language):
        pytest.skip(polyglot_programs.missing(language))


def buggy(language: str, data: Path) -> dict[str, str]:
    """What the buggy function has below its first line, by the row's id."""
    file = DataFile("humanevalpack", f"{SHORT.get(language, language)}/humanevalpack.jsonl")
    found = data_files.open_source(str(data)).rows(file)
    return {row["task_id"]: f"\n{row['buggy_solution']}" for row in found}


# ---------------------------------------------------------------- what is asked

OFFICIAL = [
    ("fix_tests", "plain", f"{BEGUN}\n{BUGGY}\n{TESTS}\nFix bugs in digit_sum.\n\n{BEGUN}"),
    (
        "fix_docs",
        "plain",
        f"{BEGUN}\n{DOCSTRING}{BUGGY}\nFix bugs in digit_sum.\n\n{BEGUN}\n{DOCSTRING.rstrip()}",
    ),
    ("synthesize", "plain", f"{ASKED}\n\n{BEGUN}\n{DOCSTRING.rstrip()}"),
    ("synthesize", "continue", f"{BEGUN}\n{DOCSTRING.rstrip()}"),
    ("explain", "plain", f"{SAID}\n{WRITE}\n\n{BEGUN}"),
    ("describe", "plain", f"{BEGUN}\n{RIGHT}\n{DESCRIBE}"),
    (
        "fix_tests",
        "octocoder",
        f"Question: Fix bugs in digit_sum.\n{BEGUN}\n{BUGGY}\n{TESTS}\n\nAnswer:\n{BEGUN}",
    ),
    ("synthesize", "octocoder", f"Question: {ASKED}\n\nAnswer:\n{BEGUN}\n{DOCSTRING.rstrip()}"),
    ("describe", "octocoder", f"Question: {DESCRIBE}\n{BEGUN}\n{RIGHT}\n\nAnswer:"),
]


@pytest.mark.parametrize(("kind", "name", "text"), OFFICIAL)
def test_prompts_are_upstreams(kind: str, name: str, text: str) -> None:
    more = {"explanations": str(DESCRIBED)} if kind == "explain" else {}
    (template,) = (
        each for each in registry.task("humanevalpack", {"kind": kind, **more}).templates if each.name == name
    )
    assert templates.render(template, problems(kind)[2]).text == text


def test_blank_lines_before_a_function_are_kept_inside_a_prompt_and_not_at_its_ends() -> None:
    """As upstream, which strips the whole prompt."""
    task = registry.task("humanevalpack", {"language": "javascript"})
    prompts = [templates.render(each, problems(language="javascript")[2]).text for each in task.templates[:2]]
    assert prompts[0].startswith("const digitSum = (number) => {\n")
    assert prompts[0].endswith("Fix bugs in digitSum.\n\n\nconst digitSum = (number) => {")
    assert prompts[1].startswith("Question: Fix bugs in digitSum.\n\nconst digitSum")


def test_a_rust_function_has_a_main_before_it_as_upstream() -> None:
    for kind in ("fix_tests", "fix_docs"):
        assert problems(kind, "rust")[0].question.startswith("fn main(){}\n")


def test_what_is_fixed_or_explained_has_ids_of_its_own_so_that_no_other_recording_is_read_for_it(
    tmp_path: Path,
) -> None:
    assert [problems(kind)[2].id for kind in ("synthesize", "fix_tests", "explain")] == [
        "Python/2",
        "fix_tests/Python/2",
        "explain/Python/2",
    ]
    said = write_rows(
        tmp_path / "said.jsonl",
        [{"task_id": f"HumanEval/{i}", "completion": "    return 1"} for i in range(4)],
    )
    command = ("score", "humanevalpack", "--completions", said, "--data", "mini", "--out", tmp_path / "run")
    assert "Not asked for, but there: HumanEval/0" in harness(*command).complaint
    assert harness(*command, "--set", "options.kind=synthesize").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"kind": "explain"},
            "kind 'explain' and options.explanations, the folder of a run with kind 'describe'",
        ),
        ({"explanations": "runs/x"}, "kind 'explain' and options.explanations"),
        ({"kind": "fix"}, "kind 'fix'"),
        ({"language": "js"}, "language 'js'"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        registry.task("humanevalpack", options)


# ---------------------------------------------------------------- two steps


def test_a_description_keeps_to_the_docstrings_length_and_has_no_line_of_the_code() -> None:
    problem = problems("describe")[2]
    task = registry.task("humanevalpack", {"kind": "describe"})
    long = task.extract(problem, Completion(text=f"\n {'word ' * 30}"))
    assert long == ("word " * 30)[:92].rstrip()
    assert task.extract(problem, Completion(text=f"It does: {RIGHT.strip()} Done.")) == "It does:  Done."


def test_explanations_are_the_answers_of_another_run_each_of_them_a_problem(tmp_path: Path) -> None:
    said = [{"task_id": f"describe/Python/{i}", "text": f"{i}{n}"} for i in range(4) for n in "ab"]
    command = ("score", "humanevalpack", "--data", "mini")
    described = harness(
        *command,
        *("--completions", write_rows(tmp_path / "said.jsonl", said), "--out", tmp_path / "described"),
        *("--set", "options.kind=describe"),
    )
    assert described.code == 0, described.err
    found = load("humanevalpack", {"kind": "explain", "explanations": str(tmp_path / "described")}, "test")
    assert [(each.id, each.cluster) for each in found[2:4]] == [
        ("explain/Python/1", "Python/1"),
        ("explain/Python/1/1", "Python/1"),
    ]
    assert found[3].parts["context_last"] == f"{WRITE}\n1b"
    code = [{"task_id": each.id, "completion": each.solution} for each in found]
    explained = harness(
        *command,
        *("--completions", write_rows(tmp_path / "code.jsonl", code), "--out", tmp_path / "run"),
        *("--set", "options.kind=explain", "--set", f"options.explanations={tmp_path / 'described'}"),
    )
    assert explained.code == 0, explained.err
    assert {row["status"] for row in rows(tmp_path / "run" / "judgements.jsonl")} == {"passed"}


def test_other_answers_are_no_explanations(tmp_path: Path) -> None:
    write_rows(tmp_path / "judgements.jsonl", [{"problem_id": "Python/0", "index": 0, "answer": "x"}])
    with pytest.raises(
        DataError, match=r"judgements\.jsonl:1: expected an answer of a run with options\.kind"
    ):
        load("humanevalpack", {"kind": "explain", "explanations": str(tmp_path)}, "test")


def test_the_explanations_and_not_their_place_are_part_of_what_a_run_is() -> None:
    def record(place: str, digest: str) -> dict[str, object]:
        return {
            "config": {"options": {"explanations": place}},
            "data": {"sha256": {"humanevalpack/explanations": digest}},
        }

    assert identity.placeless(record("/a", "1")) == identity.placeless(record("/b", "1"))
    assert identity.placeless(record("/a", "1")) != identity.placeless(record("/a", "2"))


# ---------------------------------------------------------------- programs


@pytest.mark.parametrize(
    ("language", "code", "kept"),
    [
        ("javascript", "\n  return `${x}`\n}\n\nf()\n", "\n  return `${x}`\n}"),
        (
            "cpp",
            "\n    if (x) { y(); }\n    return 1;\n}\nint help() {",
            "\n    if (x) { y(); }\n    return 1;\n}",
        ),
        ("java", "\n        return 1;\n    }\n}\nclass More {", "\n        return 1;\n    }\n}"),
        (
            "java",
            "\n        return 1;\n    }\n\n    public static void main(",
            "\n        return 1;\n    }\n\n    }",
        ),
        ("go", "\n    if x {\n        y()\n    }\n    ret", "\n    if x {\n        y()\n    }"),
    ],
)
def test_an_answer_ends_where_its_block_closes(language: str, code: str, kept: str) -> None:
    assert single_source.close_block(language, code) == kept


def test_go_packages_named_in_comments_are_not_imported() -> None:
    code = "    // a list of strings. Sorted\n    x := math.Max(a, b) // not bytes\n    mytime.Now()\n"
    assert single_source.go_packages(code, 'import "fmt"') == ["math"]
    assert single_source.go_packages(code, 'import "math"') == []


def test_a_go_tests_own_packages_are_imported_whatever_the_answer_uses(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    need("go")
    row = rows(packaged("tasks/mini/humanevalpack/go/humanevalpack.jsonl"))[2]
    row["test"] = row["test"].replace("DigitSum(0))", "int(math.Abs(float64(DigitSum(0)))))")
    (tmp_path / "humanevalpack" / "go").mkdir(parents=True)
    write_rows(tmp_path / "humanevalpack" / "go" / "humanevalpack.jsonl", [row])
    (problem,) = problems(language="go", data=str(tmp_path))
    whole = f'```go\npackage main\n\nimport "math"\n\n{problem.question}{problem.solution}```'
    using = problem.solution.replace("return sum", "return int(math.Abs(float64(sum)))")
    pairs = [(problem, answer(problem, text, "go")) for text in (problem.solution, using)]
    pairs.append(
        (
            problem,
            answer(
                problem, whole.replace("return sum", "return int(math.Abs(float64(sum)))"), "go", "output"
            ),
        )
    )
    assert [(each.status, each.error) for each in judge(box, pairs)] == [("passed", "")] * 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_bug_fails_and_however_the_fixed_function_is_written_it_passes(
    language: str, box: sandbox.Pool
) -> None:
    need(language)
    problem = problems(language=language)[1]
    whole = f"{problem.question}{problem.solution}"
    said: list[tuple[str, Form]] = [
        (buggy(language, packaged("tasks/mini"))[problem.id.removeprefix("fix_tests/")], "continuation"),
        (problem.solution, "output"),
        (f"Here:\n```\n{whole}\n```\nIt counts.", "output"),
        (whole, "program"),
    ]
    pairs = [(problem, answer(problem, text, language, form)) for text, form in said]
    assert [each.status for each in judge(box, pairs)] == ["failed", "passed", "passed", "passed"]


# ---------------------------------------------------------------- the benchmark's own rows


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_164_rows_are_there_under_every_kind(language: str, real_data: Path) -> None:
    for kind in ("fix_tests", "fix_docs", "synthesize", "describe"):
        assert len(problems(kind, language, str(real_data))) == 164


@pytest.mark.parametrize("language", LANGUAGES)
def test_real_functions_pass_and_their_bugs_fail(language: str, real_data: Path, box: sandbox.Pool) -> None:
    """Some of Python's, and of the others a row whose test in Go needs a package that the row does not import."""
    need(language)
    found = problems("fix_tests", language, str(real_data))
    chosen = found[::8] if language == "python" else found[2:3]
    bugs = buggy(language, real_data)
    pairs = [(p, answer(p, p.solution, language)) for p in chosen]
    pairs += [(p, answer(p, bugs[p.id.removeprefix("fix_tests/")], language)) for p in chosen]
    passed = [verdict.status == "passed" for verdict in judge(box, pairs)]
    assert passed == [True] * len(chosen) + [False] * len(chosen)


def test_python_functions_pass_after_their_docstrings_too(real_data: Path, box: sandbox.Pool) -> None:
    found = problems("synthesize", data=str(real_data))[::4]
    statuses = [v.status for v in judge(box, [(p, answer(p, p.solution)) for p in found])]
    assert statuses == ["passed"] * 41
