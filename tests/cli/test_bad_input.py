"""Input that is broken, huge or hostile, through the real command line.

Either one line says what is wrong and where, or every sample gets its verdict: never a stack trace, never a zero for
what is not the model's fault, never gigabytes.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox, scorers
from harness.sandbox import pool
from harness.schema import Problem, Program, Reference, Scorer, UnitTests
from harness.tasks.loading import data_files, registry
from harness.text.ngrams import MAX_PARSED_CHARS
from tests.support.command import Ended, harness, mini_humaneval, rows, write_rows

ROWS = mini_humaneval()[:3]
GOOD = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in ROWS]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with three good rows."""
    (tmp_path / "data" / "humaneval").mkdir(parents=True)
    write_rows(tmp_path / "data" / "humaneval" / "HumanEval.jsonl", ROWS)
    return tmp_path / "data"


def score(data: Path, completions: Path, *more: object) -> Ended:
    """`harness score humaneval` into data/../run."""
    return harness(
        "score",
        "humaneval",
        "--data",
        data,
        "--completions",
        completions,
        "--out",
        data.parent / "run",
        *more,
    )


def judgements(data: Path) -> list[dict[str, Any]]:
    return rows(data.parent / "run" / "judgements.jsonl")


def say(data: Path, *texts: str, key: str = "completion") -> Path:
    """Completions for the first problems, the others answered well."""
    given = [{"task_id": row["task_id"], key: text} for row, text in zip(ROWS, texts, strict=False)]
    return write_rows(data.parent / "said.jsonl", [*given, *GOOD[len(given) :]])


# ---------------------------------------------------------------- files

LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)
SAID = b"".join(json.dumps(row).encode() + b"\n" for row in GOOD)
DEEP = b'{"task_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n"

# name -> (file suffix, how the good bytes are spoilt, words of the complaint)
SPOILT: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "a gzip file cut short": (".gz", lambda good: gzip.compress(good)[:-20], "damaged gzip file"),
    "a gzip file with a byte turned": (
        ".gz",
        lambda good: (blob := gzip.compress(good))[:40] + bytes([blob[40] ^ 255]) + blob[41:],
        "damaged gzip file",
    ),
    "no gzip file at all": (".gz", lambda good: good, "damaged gzip file"),
    "JSON cut short": ("", lambda good: good[:-10], ":3: malformed JSON"),
    "a list cut short": ("", lambda good: b"[" + good.replace(b"}\n", b"},\n")[:-2], "malformed JSON"),
    "half of a line": ("", lambda good: good.replace(b"\n", b"\n{", 1), ":2: malformed JSON"),
    "a NUL between rows": ("", lambda good: good.replace(b"\n", b"\n\0\n", 1), ":2: malformed JSON"),
    "a NUL in a string": ("", lambda good: good.replace(b"return", b"ret\0urn", 1), ":1: malformed JSON"),
    "not UTF-8": ("", lambda good: good.replace(b"return", b"ret\xffurn", 1), ":1: not UTF-8"),
    "UTF-16": ("", lambda good: good.decode().encode("utf-16"), ":1: not UTF-8"),
    "nested without end": ("", lambda good: good + DEEP, ":4: malformed JSON: nested too deeply"),
    "a row that is no object": ("", lambda good: good + b"3\n", ":4: expected an object, got int"),
    "a row without its id": ("", lambda good: good.replace(b"task_id", b"taks_id", 1), ":1: "),
    "an id that is a number": ("", lambda good: good + good.splitlines()[0].replace(b'"Mini/0"', b"0"), ":4"),
    "nothing": ("", lambda good: b"", "no "),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_broken_benchmark_file_is_one_line_with_its_place(name: str, data: Path) -> None:
    suffix, spoil, complaint = SPOILT[name]
    path = data / "humaneval" / "HumanEval.jsonl"
    path.unlink()
    path.with_name(path.name + suffix).write_bytes(spoil(LINES))
    said = write_rows(data.parent / "said.jsonl", GOOD)
    found = score(data, said).complaint
    assert complaint in found
    assert "HumanEval.jsonl" in found


@pytest.mark.parametrize("name", SPOILT)
def test_a_broken_completions_file_is_one_line_with_its_place(name: str, data: Path) -> None:
    suffix, spoil, complaint = SPOILT[name]
    path = data.parent / f"said.jsonl{suffix}"
    path.write_bytes(spoil(SAID))
    found = score(data, path).complaint
    assert complaint in found
    assert "said.jsonl" in found


def test_a_byte_order_mark_and_windows_line_ends_are_no_damage(data: Path) -> None:
    path = data.parent / "said.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + SAID.replace(b"\n", b"\r\n"))
    assert score(data, path).code == 0
    assert [row["status"] for row in judgements(data)] == ["passed"] * 3


def test_a_folder_where_a_file_is_wanted_is_one_line(data: Path) -> None:
    assert "no completions file" in score(data, data).complaint


def test_an_id_twice_in_the_benchmark_is_an_error_and_in_the_completions_a_second_sample(data: Path) -> None:
    said = write_rows(data.parent / "said.jsonl", [*GOOD, *GOOD])
    assert score(data, said).code == 0
    assert len(judgements(data)) == 6
    write_rows(data / "humaneval" / "HumanEval.jsonl", [*ROWS, ROWS[0]])
    assert score(data, said).complaint.endswith("HumanEval.jsonl:4: id 'Mini/0' occurs twice")


def test_a_sample_index_twice_is_an_error(data: Path) -> None:
    assert score(data, write_rows(data.parent / "said.jsonl", GOOD)).code == 0
    made = rows(data.parent / "run" / "generations.jsonl")
    again = write_rows(data.parent / "again.jsonl", [*made, made[1]])
    assert "again.jsonl:4: Mini/1 has sample index 0 twice" in score(data, again).complaint


# ---------------------------------------------------------------- completions of problems that are not asked


def notes(data: Path) -> list[str]:
    summary = json.loads((data.parent / "run" / "summary.json").read_text(encoding="utf-8"))
    found: list[str] = summary["notes"]
    return found


def test_completions_beyond_the_limit_are_passed_over_and_counted(data: Path) -> None:
    said = write_rows(data.parent / "said.jsonl", [*GOOD, *GOOD])
    assert score(data, said, "--set", "limit=1").code == 0
    assert [row["problem_id"] for row in judgements(data)] == ["Mini/0", "Mini/0"]
    assert "4 recorded samples ignored: their problems are not part of this run" in notes(data)


def test_completions_of_rows_that_were_left_out_are_passed_over_and_counted(tmp_path: Path) -> None:
    source = data_files.open_source("mini")
    problems = data_files.load(registry.task("apps"), "test", source)
    (left_out,) = source.skipped
    said = [{"task_id": problem.id, "solution": problem.solution} for problem in problems]
    said.append({"task_id": left_out, "solution": "print(1)"})
    path, out = write_rows(tmp_path / "said.jsonl", said), tmp_path / "run"
    done = harness("score", "apps", "--data", "mini", "--completions", path, "--out", out)
    assert done.code == 0, done.err
    assert "  1 recorded samples ignored: their problems are not part of this run" in done.out
    assert {row["status"] for row in rows(out / "judgements.jsonl")} == {"passed"}


@pytest.mark.parametrize("more", [(), ("--set", "limit=1"), ("--partial",)])
def test_an_id_that_no_row_has_is_an_error_with_its_line_and_the_nearest(
    more: tuple[str, ...], data: Path
) -> None:
    said = write_rows(data.parent / "said.jsonl", [*GOOD, {"task_id": "Mini/", "completion": ""}])
    assert score(data, said, *more).complaint.endswith(
        "said.jsonl:4: no problem 'Mini/'. Did you mean 'Mini/2'? Known: Mini/0, Mini/1, Mini/2."
    )


def test_an_id_mistyped_is_shown_beside_the_one_that_is_missing(data: Path) -> None:
    said = write_rows(data.parent / "said.jsonl", [*GOOD[:2], {**GOOD[2], "task_id": "Mimi/2"}])
    found = score(data, said).complaint
    assert "no completion for 1 of 3 problems: Mini/2." in found
    assert found.endswith(f"Not asked for, but there: Mimi/2 ({said}:3)")


# ---------------------------------------------------------------- the task's own fault


@pytest.mark.parametrize(
    ("test", "why"),
    [
        (
            "def check(candidate):\n    assert candidate(1 ==\n",
            "the task's tests do not compile: SyntaxError",
        ),
        ("def check(candidate):\n    assert '\0'\n", "the task's tests do not compile"),
        (
            "import no_such_module\ndef check(candidate):\n    assert candidate()\n",
            "No module named 'no_such_module'",
        ),
        ("def check(candidate):\n    pass\n", "the tests never call 'total_of_evens'"),
    ],
)
def test_a_test_that_cannot_be_run_is_a_fault_and_no_zero(test: str, why: str, data: Path) -> None:
    write_rows(data / "humaneval" / "HumanEval.jsonl", [{**ROWS[0], "test": test}, *ROWS[1:]])
    ended = score(data, write_rows(data.parent / "said.jsonl", GOOD))
    assert ended.code == 3
    assert "1 samples could not be judged" in ended.err
    first, *others = judgements(data)
    assert (first["status"], first["score"]) == ("fault", None)
    assert why in first["error"]
    assert [row["status"] for row in others] == ["passed", "passed"]
    summary = json.loads((data.parent / "run" / "summary.json").read_text(encoding="utf-8"))
    assert (summary["errors"], summary["metrics"]["pass@1"]["n"]) == (1, 2)


# ---------------------------------------------------------------- completions

ODD = {
    "a NUL": ("    return 1\0\n", "compile_error"),
    "half a surrogate pair": ("    return '\ud800'\n", "compile_error"),
    "brackets without end": ("    return " + "(" * 100_000, "compile_error"),
    "nested too deeply to compile": ("    return " + "-" * 50_000 + "1\n", "compile_error"),
    "nested too deeply to run": ("    return " + "[" * 90 + "]" * 90 + "\n", "failed"),
    "a number of many digits": ("    return " + "9" * 5_000 + "\n", "failed"),
    "a form feed and odd spaces": ("\f    return\u00a01\n", "compile_error"),
    "terminal commands": ("    raise ValueError('\x1b[2J\x1b]0;x\x07')\n", "error"),
    "nothing": ("", "failed"),  # the docstring alone is a body
}


def test_odd_completions_get_their_verdict(data: Path) -> None:
    problem = ROWS[0]
    write_rows(data / "humaneval" / "HumanEval.jsonl", [problem])
    said = [{"task_id": problem["task_id"], "completion": text} for text, _ in ODD.values()]
    assert score(data, write_rows(data.parent / "said.jsonl", said)).code == 0
    verdicts = {name: row["status"] for name, row in zip(ODD, judgements(data), strict=True)}
    assert verdicts == {name: status for name, (_, status) in ODD.items()}


def test_odd_completions_are_scored_as_texts(tmp_path: Path) -> None:
    texts = [text for text, _ in ODD.values()]
    wanted = ["bleu", "chrf", "conala_bleu", "ast_similarity", "parse_rate", "codebleu_package"]
    made = [{"task_id": f"conala/test/{i}", "text": text} for i, text in enumerate(texts)]
    done = harness(
        "score", "conala", "--data", "mini", "--set", f"limit={len(texts)}", "--set", f"scorers={json.dumps(wanted)}",
        "--completions", write_rows(tmp_path / "said.jsonl", made), "--out", tmp_path / "run",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = rows(tmp_path / "run" / "judgements.jsonl")
    assert len(found) == len(texts) * (2 + len(wanted))
    assert {row["status"] for row in found} == {"scored"}


HUGE = 100_000_000
COMMAND = "from harness.cli import main; main()"


def peak_mb(*arguments: object) -> int:
    """Run the command line in a process of its own; its peak of resident memory, or its children's."""
    words = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    code = (
        "import resource, subprocess, sys\ndone = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
    )
    code += "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=environment
    )
    status, megabytes = done.stdout.split()
    assert status == "0", done.stderr
    return int(megabytes)


def test_a_completion_of_100_mb_is_scored_within_a_gigabyte(tmp_path: Path) -> None:
    said = [{"task_id": "conala/test/0", "text": "x" * 15 + "(" * (HUGE - 15)}]
    used = peak_mb(
        "score", "conala", "--data", "mini", "--set", "limit=1", "--completions",
        write_rows(tmp_path / "said.jsonl", said), "--out", tmp_path / "run",
    )  # fmt: skip
    assert used < 1000
    found = rows(tmp_path / "run" / "judgements.jsonl")
    assert {row["status"] for row in found} == {"scored"}
    assert [row["scorer"] for row in found if row["answer"].endswith(f"({HUGE} characters)")] == [
        "exact",
        "codebleu",
    ]
    assert (tmp_path / "run" / "judgements.jsonl").stat().st_size < 5_000_000


LONG = 3 * MAX_PARSED_CHARS
TEXTS = [
    "x = f(1) + 2\n" * (LONG // 13),
    "(" * LONG,
    "a " * (LONG // 2),
    "    b\n" * (LONG // 6),
    "#" * LONG,
    " " * LONG,
    "\0" * LONG,
]


@pytest.mark.parametrize(
    "scorer",
    [
        scorers.exact,
        scorers.codebleu,
        scorers.codebleu_package,
        scorers.bleu,
        scorers.chrf,
        scorers.conala_bleu,
        scorers.ast_similarity,
        scorers.parse_rate,
        scorers.comments,
    ],
    ids=lambda scorer: scorer.name,
)
def test_every_scorer_of_texts_looks_at_no_more_of_an_answer_than_it_says(scorer: Scorer) -> None:
    problem = Problem(id="x", question="q", solution="b", check=Reference(texts=("x = f(1) + 2",)))
    slow = {"chrf": TEXTS[:2], "codebleu_package": TEXTS[1:2]}
    few = [(problem, text) for text in slow.get(scorer.name, TEXTS)]
    longer = [(problem, text + text[: len(text) // 2 // 6 * 6]) for _, text in few]
    values = [[verdict.score for verdict in scorer.score(each, None)] for each in (few, longer)]
    assert values[0] == values[1]
    assert all(score is not None for score in values[0])


def test_a_program_of_100_mb_does_not_compile_and_the_next_one_runs(data: Path) -> None:
    said = say(data, "x = f(1) + 2\n" * (HUGE // 13), key="text")
    assert (
        peak_mb("score", "humaneval", "--data", data, "--completions", said, "--out", data.parent / "run")
        < 1000
    )
    first, *others = judgements(data)
    assert first["status"] == "compile_error"
    assert first["error"].endswith("at most 10000000 are compiled")
    assert [row["status"] for row in others] == ["passed", "passed"]


def test_the_longest_program_that_is_compiled_is_a_verdict_of_the_sandbox_and_no_fault() -> None:
    tests = UnitTests(code="assert f() == 1", entry_point="f")
    body = "def f():\n    return 1\n#"
    whole = body + "x" * (pool.CODE_LIMIT - len(body))
    programs = [
        Program(code=whole, tests=tests),
        Program(code=whole + "x", tests=tests),
        Program(code=whole + "x"),
    ]
    with sandbox.start(sandbox.Settings(workers=1)) as box:
        found = list(box.map(programs))
    assert [getattr(result, "status", result) for result in found] == [
        "passed",
        "compile_error",
        "compile_error",
    ]
