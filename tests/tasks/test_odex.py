"""ODEX: prompts and programs as upstream makes them, however an answer is written, and what cannot be judged here."""

from pathlib import Path

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError
from harness.prompts import templates
from harness.runs import judge
from harness.schema import Completion, Form, Problem, Verdict
from harness.tasks import odex
from harness.tasks.loading import data_files, registry
from tests.support.command import harness, write_rows
from tests.support.parts.task_rows import load

TASK = registry.task("odex")
# A row that returns an expression, and one whose statements end in the suffix.
SQUARES, SWAP, FILE, MOCKED, NUMPY = 0, 3, 8, 9, 10


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return load("odex", {}, "test")


def verdicts(given: list[tuple[Problem, str]], box: sandbox.Pool, form: Form = "output") -> list[Verdict]:
    pairs = [(p, TASK.extract(p, Completion(text=text, form=form))) for p, text in given]
    return list(scorers.unit_tests.score(iter(pairs), box))


def test_the_prompt_is_upstreams(problems: list[Problem]) -> None:
    plain = TASK.templates[0]
    assert templates.render(plain, problems[SWAP]).text == (
        'def f_103(d):\n    """swap keys and values of dictionary `d` in place\n    """\n    '
    )
    assert templates.render_answer(plain, problems[SWAP]) == (
        "pairs = list(d.items())\n    d.clear()\n    for k, v in pairs:\n        d[v] = k\n    return d"
    )


ANSWERS = [
    (SQUARES, "sum(x ** 2 for x in xs)", "passed"),
    (SQUARES, "return sum(x ** 2 for x in xs)", "passed"),
    (SQUARES, "total = 0\nfor x in xs:\n    total += x * x\nreturn total", "passed"),
    (SQUARES, "```python\ndef f_101(xs):\n    return sum(x ** 2 for x in xs)\n```\nThat's it.", "passed"),
    (SQUARES, "sum(xs)", "failed"),
    (SQUARES, "", "error"),
    (SWAP, "d = {v: k for k, v in d.items()}", "passed"),
    (SWAP, "pairs = dict(d)\n    d.clear()\n    for k in pairs:\n        d[pairs[k]] = k", "passed"),
    (SWAP, "```python\nd = dict(\n    (v, k) for k, v in d.items()\n)\nd = dict(d)\n```", "passed"),
    (SWAP, "```python\ndef f_103(d):\n    return {v: k for k, v in d.items()}\n```", "passed"),
    (SWAP, "pass", "failed"),
    (FILE, "```python\nwith open(name, 'w') as file:\n    print('done', file=file)\n```", "passed"),
    (FILE, "open(name, 'w').close()", "failed"),
    (MOCKED, "os.system(command)", "passed"),
    (MOCKED, "return None", "error"),
]


def test_an_answer_may_go_on_from_the_prompt_or_be_the_function(
    problems: list[Problem], box: sandbox.Pool
) -> None:
    found = verdicts([(problems[row], text) for row, text, _ in ANSWERS], box)
    differ = [
        (text, each.status, each.error)
        for (_, text, right), each in zip(ANSWERS, found, strict=True)
        if (each.status == "passed") != (right == "passed")
    ]
    assert differ == []


def test_tests_that_look_beside_values_run_in_the_programs_process(
    problems: list[Problem], box: sandbox.Pool
) -> None:
    found = verdicts([(p, p.solution) for p in problems], box, "continuation")
    assert [each.status for each in found] == ["passed"] * 12
    notes = [each.score.note if each.score else "" for each in found]
    assert [row for row, note in enumerate(notes) if note == "in_process"] == [FILE, MOCKED]


def test_a_mock_that_is_only_looked_at_after_a_failure_holds_against_falsified_tests(
    tmp_path: Path, box: sandbox.Pool
) -> None:
    row = {
        "task_id": 7,
        "intent": "run it",
        "prompt": "def f_7():\n\treturn ",
        "suffix": "",
        "canonical_solution": "subprocess.call('x')",
        "test_start": "\nimport subprocess\nfrom unittest.mock import Mock\n\ndef check(candidate):",
        "test": [
            "\n    subprocess.call = Mock()\n    try:\n        candidate()\n    except:\n        assert False\n"
        ],
        "entry_point": "f_7",
        "library": ["subprocess"],
    }
    (tmp_path / "odex").mkdir()
    write_rows(tmp_path / "odex" / "en_test.jsonl", [row])
    (problem,) = load("odex", {}, "test", str(tmp_path))
    said = [(problem, "subprocess.call('x')"), (problem, "1 / 0")]
    assert [each.status for each in verdicts(said, box)] == ["passed", "failed"]


def test_a_library_that_is_not_there_is_a_fault_that_names_it(problems: list[Problem]) -> None:
    with sandbox.start() as bare:
        (found,) = verdicts([(problems[NUMPY], "np.where(a > 2)[0]")], bare)
    assert (found.status, found.score) == ("fault", None)
    assert "numpy" in found.error


def test_standard_leaves_out_rows_that_need_a_library() -> None:
    rows = load("odex", {"libraries": "standard"}, "test")
    assert [each.id for each in rows] == [f"odex/en/{i}" for i in range(12) if i != NUMPY]


@pytest.mark.parametrize("options", [{"language": "de"}, {"libraries": "none"}])
def test_a_wrong_option_says_what_would_be_right(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="task 'odex'"):
        registry.task("odex", options)


# ---------------------------------------------------------------- text metrics


@pytest.mark.parametrize(
    ("row", "text", "kept"),
    [
        (SQUARES, "sum(x * x for x in xs)", "sum(x * x for x in xs)"),
        (
            SQUARES,
            "```python\ndef f_101(xs):\n    return sum(x * x for x in xs)\n```",
            "sum(x * x for x in xs)",
        ),
        (
            SQUARES,
            '```python\ndef f_101(xs):\n    """Sum."""\n    n = len(xs)\n    return n\n```',
            "n = len(xs)\nreturn n",
        ),
        (SWAP, "d = {v: k for k, v in d.items()}", "d = {v: k for k, v in d.items()}"),
        (SQUARES, "I cannot say.", "I cannot say."),
        (SQUARES, "", ""),
    ],
)
def test_text_metrics_see_the_snippet(row: int, text: str, kept: str, problems: list[Problem]) -> None:
    assert odex.snippet(problems[row], TASK.extract(problems[row], Completion(text=text))) == kept


def test_a_report_sets_text_metrics_beside_execution(tmp_path: Path, problems: list[Problem]) -> None:
    said = [{"task_id": p.id, "completion": p.solution if i % 3 else "None"} for i, p in enumerate(problems)]
    said[1]["completion"] = "' '.join(s.split()[::-1])"  # right, in other words
    run, page = tmp_path / "run", tmp_path / "page.html"
    options = ("--data", "mini", "--set", "options.libraries=standard")
    file = write_rows(tmp_path / "said.jsonl", [row for i, row in enumerate(said) if i != NUMPY])
    assert harness("score", "odex", "--completions", file, "--out", run, *options).code == 0
    assert harness("report", run, "--out", page).code == 0
    html = page.read_text(encoding="utf-8")
    assert "<td>exact match</td><td>92.9, too few for an interval</td>" in html
    assert "of 6 samples equal to the reference 6 pass and 0 fail; of 5 others 1 pass and 4 fail." in html
    assert all(f"<td>{name}</td>" in html for name in ("BLEU", "CodeBLEU"))


# ---------------------------------------------------------------- the benchmark's own rows


@pytest.mark.parametrize(
    ("language", "rows", "standard"), [("en", 439, 334), ("es", 90, 74), ("ja", 164, 95), ("ru", 252, 236)]
)
def test_the_rows_are_there_and_those_left_out_say_why(
    language: str, rows: int, standard: int, real_data: Path
) -> None:
    for libraries, size in (("all", rows), ("standard", standard)):
        source = data_files.open_source(str(real_data))
        found = data_files.load(
            registry.task("odex", {"language": language, "libraries": libraries}), "test", source
        )
        named = {name for name in odex.NOT_JUDGED if name.startswith(f"odex/{language}/")}
        assert len(found) + len(source.skipped) == size
        assert set(source.skipped) <= named
        assert libraries == "standard" or set(source.skipped) == named


@pytest.mark.parametrize("language", ["en", "es", "ja", "ru"])
def test_standard_references_pass_and_empty_answers_fail(language: str, real_data: Path) -> None:
    """Every eighth; docs/parity.md has all."""
    options = {"language": language, "libraries": "standard"}
    task, found = registry.task("odex", options), load("odex", options, "test", str(real_data))
    with sandbox.start() as box:
        assert judge.prove(task, found[1::8], box) == []


@pytest.mark.parametrize("language", ["en", "es", "ja", "ru"])
def test_the_reference_is_the_snippet_of_its_program(language: str, real_data: Path) -> None:
    found = load("odex", {"language": language}, "test", str(real_data))
    task = registry.task("odex", {"language": language})
    made = [task.extract(p, Completion(text=p.solution, form="continuation")) for p in found]
    assert [
        p.id for p, code in zip(found, made, strict=True) if odex.snippet(p, code) != p.solution.strip()
    ] == []
