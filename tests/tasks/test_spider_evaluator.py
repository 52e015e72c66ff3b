"""What the official Spider evaluator can be asked for, its gold file, and databases that lack something."""

import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError, DataError
from harness.schema import Problem, SpiderRules, Verdict
from harness.tasks.loading import data_files, registry
from harness.text.sql import query_text
from tests.support.command import harness, rows

QUESTIONS = [
    ("store", "Which boxes weigh more than one?", "SELECT id FROM box WHERE weight > 1"),
    ("store", "What is the mean value?", "SELECT avg(value) FROM box"),
    ("store", "Which kinds are there?", "SELECT DISTINCT kind FROM box"),
    ("store", "Who owns them?", "SELECT name FROM owner"),
    ("store", "Which tins weigh two?", "SELECT id FROM box WHERE kind = 'tin' AND weight = 2"),
]
TABLES = {
    "db_id": "store",
    "table_names_original": ["box", "owner"],
    "column_names_original": [[-1, "*"], [0, "id"], [0, "kind"], [0, "weight"], [0, "value"], [1, "name"]],
    "column_types": ["text", "number", "text", "number", "number", "text"],
    "primary_keys": [1],
    "foreign_keys": [],
}
BOXES = (
    "CREATE TABLE box (id, kind, weight, value); INSERT INTO box VALUES (1, 'tin', 1, 3), (2, 'tin', 2, 4),"
)
BOXES += " (3, 'wood', 1, 9), (4, 'wood', 3, 4);"
OWNERS = "CREATE TABLE owner (name); INSERT INTO owner VALUES ('Ada');"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A benchmark in Spider's layout, with all tables."""
    return benchmark(tmp_path / "data", BOXES + OWNERS)


def benchmark(folder: Path, script: str) -> Path:
    database = folder / "spider" / "database" / "store"
    database.mkdir(parents=True)
    questions = [{"db_id": name, "question": asked, "query": sql} for name, asked, sql in QUESTIONS]
    (folder / "spider" / "dev.json").write_text(json.dumps(questions), encoding="utf-8")
    (folder / "spider" / "tables.json").write_text(json.dumps([TABLES]), encoding="utf-8")
    with closing(sqlite3.connect(database / "store.sqlite")) as connection:
        connection.executescript(script)
    return folder


def load(data: Path, **options: object) -> list[Problem]:
    return data_files.load(registry.task("spider", options), "test", data_files.open_source(str(data)))


def judged(problem: Problem, *answers: str, **settings: Any) -> list[Verdict]:
    with sandbox.start(sandbox.Settings(workers=1, **settings)) as box:
        return list(scorers.sql_execution.score([(problem, sql) for sql in answers], box))


def passed(problem: Problem, *answers: str) -> list[bool]:
    return [verdict.status == "passed" for verdict in judged(problem, *answers)]


# ---------------------------------------------------------------- the word value


# As Python's str.replace makes it of them, which is all that evaluation.py of test-suite-sql-eval does.
@pytest.mark.parametrize(
    ("prediction", "filled"),
    [
        ("SELECT a FROM t WHERE b = value", "SELECT a FROM t WHERE b = 1"),
        ("SELECT a FROM t WHERE b > value AND c < value", "SELECT a FROM t WHERE b > 1 AND c < 1"),
        ("SELECT a FROM t WHERE b = 'value' LIMIT value", "SELECT a FROM t WHERE b = '1' LIMIT 1"),
        ("SELECT avg(value) , market_value FROM t", "SELECT avg(1) , market_1 FROM t"),
        ("SELECT Value FROM t", "SELECT Value FROM t"),
    ],
)
def test_value_is_filled_as_the_official_evaluator_does_or_not_at_all(prediction: str, filled: str) -> None:
    assert query_text.fill_value(prediction, SpiderRules()) == filled
    assert query_text.fill_value(prediction, SpiderRules(fill_value=False)) == prediction


def test_a_right_query_over_a_column_called_value_passes_where_the_word_is_not_filled(data: Path) -> None:
    heavier, mean = load(data, fill_value="always")[:2]
    placeholder = "SELECT id FROM box WHERE weight > value"
    assert passed(heavier, placeholder) == [True]
    assert passed(mean, mean.solution) == [False]
    as_written = load(data)
    assert passed(as_written[0], placeholder) == [False]
    assert passed(as_written[1], mean.solution) == [True]
    matched = [
        verdict.score.value
        for verdict in scorers.exact_set_match.score(
            [(mean, mean.solution), (as_written[1], mean.solution)], None
        )
        if verdict.score is not None
    ]
    assert matched == [0.0, 1.0]


def test_questions_whose_own_query_says_value_are_named(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    load(data)
    assert caplog.messages == []
    load(data, fill_value="always")
    (said,) = caplog.messages
    assert said.startswith("1 of the gold queries say `value`, which is read as 1 in answers")
    assert said.endswith("(options.fill_value=never leaves it as written): spider/dev/1")


# ---------------------------------------------------------------- plug_value, keep_distinct


def test_with_plug_value_an_answer_may_have_other_values(data: Path) -> None:
    question = 4
    wrong_values = "SELECT id FROM box WHERE kind = 'wood' AND weight = 7"
    no_values = "SELECT id FROM box WHERE kind = 'terminal' AND weight = value"
    wrong_column = "SELECT id FROM box WHERE kind = 'tin' AND id = 1"
    needs_a_third = "SELECT id FROM box WHERE kind = 'tin' AND weight = 2 AND id = 9"
    answers = (wrong_values, no_values, wrong_column, needs_a_third, "SELECT nonsense")
    assert passed(load(data)[question], *answers) == [False] * 5
    filled = load(data, plug_value=True, fill_value="always")[question]
    assert passed(filled, *answers) == [True, True, True, True, False]


def test_an_answer_without_values_and_a_gold_query_without_them_stay_as_they_are(data: Path) -> None:
    kinds = load(data, plug_value=True)[2]
    answers = (
        "SELECT kind FROM box GROUP BY kind",
        "SELECT kind FROM box",
        "SELECT kind FROM box WHERE id = 1",
    )
    assert passed(kinds, *answers) == [False, True, False]


def test_plugging_in_values_has_the_time_of_one_query_and_running_out_is_said(data: Path) -> None:
    many = " AND ".join(f"id > {number}" for number in range(100, 140))
    (verdict,) = judged(load(data, plug_value=True)[4], f"SELECT id FROM box WHERE {many}", time_limit=0.3)
    assert verdict.status == "timeout"
    assert verdict.error == "plugging in values took more than 0.3 s of CPU time"


def test_with_keep_distinct_repeated_rows_count(data: Path) -> None:
    repeated, distinct = "SELECT kind FROM box", "SELECT DISTINCT kind FROM box"
    assert passed(load(data)[2], repeated, distinct) == [True, True]
    assert passed(load(data, keep_distinct=True)[2], repeated, distinct) == [False, True]


def test_the_signature_says_what_is_not_the_evaluators_default(data: Path) -> None:
    def signed(**options: object) -> list[str]:
        task, problems = registry.task("spider", options), load(data, **options)
        return [scorer.signature(problems) for scorer in task.scorers[:2] if scorer.signature]

    sqlite = f"sqlite {sqlite3.sqlite_version} suite 1"
    assert signed(fill_value="always") == [sqlite, ""]
    assert signed(plug_value=True, keep_distinct=True) == [
        f"{sqlite} value as written plug_value keep_distinct",
        "value as written",
    ]
    mixed = [*load(data)[:2], *load(data, fill_value="always")[2:]]
    (first, second) = (s.signature(mixed) for s in registry.task("spider").scorers[:2] if s.signature)
    assert (first, second) == (f"{sqlite} value as written for 2 of 5", "value as written for 2 of 5")
    with pytest.raises(ConfigError, match=r"option plug_value: .* execute=false"):
        registry.task("spider", {"plug_value": True, "execute": False})


def test_the_record_tells_variants_of_another_seed(data: Path) -> None:
    def noted(seed: int) -> dict[str, str]:
        source = data_files.open_source(str(data))
        data_files.load(registry.task("spider", {"variants": 2, "variant_seed": seed}), "test", source)
        return {name: sha for name, sha in source.digests.items() if "variant" in name}

    assert list(noted(0)) == ["spider/store/variant_0.sqlite", "spider/store/variant_1.sqlite"]
    assert noted(0) == noted(0)
    assert not set(noted(0).values()) & set(noted(1).values())


# ---------------------------------------------------------------- a gold file


def gold_file(data: Path, lines: list[str]) -> str:
    (data / "spider" / "dev_gold.sql").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return "dev_gold.sql"


def test_a_gold_file_takes_the_place_of_the_rows_own_queries(data: Path) -> None:
    file = gold_file(data, [f"SELECT {i}\tstore" for i in range(5)])
    source = data_files.open_source(str(data))
    problems = data_files.load(registry.task("spider", {"gold": file}), "test", source)
    assert [problem.solution for problem in problems] == [f"SELECT {i}" for i in range(5)]
    assert passed(problems[3], "SELECT 3", "SELECT 4") == [True, False]
    assert "spider/dev_gold.sql" in source.digests
    assert [p.solution for p in load(data, gold=str(data / "spider" / file), sample=2)] == [
        "SELECT 0",
        "SELECT 4",
    ]


def test_the_gold_queries_that_official_verdicts_were_made_with_are_not_all_those_of_the_rows(
    real_data: Path, tmp_path: Path
) -> None:
    recorded = rows(real_data / "spider" / "outputs" / "dail_gpt4.verdicts.jsonl")
    file = tmp_path / "dev_gold.sql"
    file.write_text("".join(f"{row['gold']}\t{row['db_id']}\n" for row in recorded), encoding="utf-8")
    given = load(real_data, gold=str(file))
    assert [problem.solution for problem in given] == [row["gold"] for row in recorded]
    differ = [
        one for one, other in zip(given, load(real_data), strict=True) if one.solution != other.solution
    ]
    assert (len(given), len(differ)) == (507, 30)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["SELECT 1\tstore"] * 4, r"dev_gold.sql: 4 gold queries for 5 questions: expected a line for each"),
        (
            ["SELECT 1\tstore"] * 4 + ["SELECT 1\tpets"],
            r"dev_gold.sql:5: expected QUERY<tab>store, .* got 'pets'",
        ),
        (["SELECT 1"] * 5, r"dev_gold.sql:1: expected QUERY<tab>store, .* got 'no database'"),
    ],
)
def test_a_gold_file_that_does_not_fit_is_one_clear_line(
    data: Path, lines: list[str], complaint: str
) -> None:
    with pytest.raises(DataError, match=complaint):
        load(data, gold=gold_file(data, lines))


def test_a_gold_file_that_is_not_there_is_looked_for_in_the_benchmarks_folder(data: Path) -> None:
    with pytest.raises(DataError, match=r"no file 'gone.sql' of 'spider': looked for .*spider/gone.sql"):
        load(data, gold="gone.sql")


def test_in_a_conversations_gold_file_empty_lines_part_interactions(tmp_path: Path) -> None:
    turns = data_files.load(registry.task("sparc"), "test", data_files.open_source("mini"))
    lines = []
    for turn in turns:
        lines += [""] if lines and turn.id.endswith("/0") else []
        lines.append(f"{turn.solution} LIMIT 1\t{turn.cluster}")
    file = tmp_path / "dev_gold.txt"
    file.write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    task = registry.task("sparc", {"gold": str(file)})
    given = data_files.load(task, "test", data_files.open_source("mini"))
    assert [turn.solution for turn in given] == [f"{turn.solution} LIMIT 1" for turn in turns]


# ---------------------------------------------------------------- databases that lack a table


def test_a_table_that_the_database_lacks_costs_its_own_questions_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problems = load(benchmark(tmp_path, BOXES))
    assert caplog.messages == [
        "database store lacks owner, so that 1 of its questions cannot be judged by execution: spider/dev/3"
    ]
    assert len(problems) == 5
    assert "CREATE TABLE owner" in problems[0].parts["rows"]
    assert "rows of box" in problems[0].parts["rows"]
    assert passed(problems[0], problems[0].solution) == [True]
    (own,) = judged(problems[3], problems[3].solution)
    (other,) = judged(problems[0], "SELECT id FROM box, owner WHERE weight > 1")
    assert (own.status, other.status) == ("fault", "error")
    assert "no such table: owner" in other.error
    (matched,) = scorers.exact_set_match.score([(problems[3], problems[3].solution)], None)
    assert matched.score is not None
    assert matched.score.value == 1.0
    assert len(load(tmp_path, variants=2)) == 5


def test_a_run_on_such_a_database_says_how_many_questions_it_cost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = benchmark(tmp_path / "data", BOXES)
    file = tmp_path / "predict.txt"
    file.write_text("".join(f"{sql}\n" for _, _, sql in QUESTIONS), encoding="utf-8")
    done = harness(
        "score", "spider", "--data", data, "--completions", file, "--out", tmp_path / "run",
    )  # fmt: skip
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    assert (done.code, summary["metrics"]["execution_accuracy"]["n"], summary["errors"]) == (3, 4, 1)
    assert "no such table: owner" in done.out
