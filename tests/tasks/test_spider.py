"""The spider task: official verdicts item by item, the official prediction format, prompts, extraction."""

import json
import random
from pathlib import Path

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError, DataError
from harness.prompts import templates
from harness.schema import Completion, Problem, Query
from harness.tasks.loading import data_files, registry
from harness.text.sql import query_text
from tests.support.command import harness


def load(data: str | Path, split: str = "test", **options: object) -> list[Problem]:
    task = registry.task("spider", options)
    return data_files.load(task, split, data_files.open_source(str(data)))  # type: ignore[arg-type]


def executed(pairs: list[tuple[Problem, str]]) -> list[bool]:
    with sandbox.start() as box:
        verdicts = list(scorers.sql_execution.score(pairs, box))
    assert [verdict.error for verdict in verdicts if verdict.score is None] == []
    return [verdict.score.value == 1.0 for verdict in verdicts if verdict.score is not None]


# ---------------------------------------------------------------- the official verdicts


def test_a_shuffled_pairing_of_gold_queries_is_mostly_wrong(real_data: Path) -> None:
    problems = load(real_data)
    shuffled = [problem.solution for problem in problems]
    random.Random(7).shuffle(shuffled)
    same = executed(list(zip(problems, shuffled, strict=True)))
    # A shuffled query is right where it happens to be the same question's other wording, or to give the same rows.
    for problem, sql, right in zip(problems, shuffled, same, strict=True):
        if sql == problem.solution:
            assert right
    assert 0 < sum(same) < 25


def test_the_published_sizes_and_hardness_of_the_real_rows(real_data: Path) -> None:
    problems = load(real_data)
    levels = [problem.group for problem in problems]
    assert {level: levels.count(level) for level in sorted(set(levels))} == {
        "easy": 120,
        "extra": 76,
        "hard": 85,
        "medium": 226,
    }


# ---------------------------------------------------------------- the command line


def test_score_takes_the_official_format_one_query_a_line(tmp_path: Path) -> None:
    problems = load("mini")
    lines = [problem.solution + "\tdatabase" for problem in problems]
    lines[0] = "SELECT nonsense FROM nowhere"
    lines[1] = lines[1].lower().replace("=", " = ").replace("\tdatabase", " ;")
    file = tmp_path / "predict.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = harness("score", "spider", "--data", "mini", "--completions", file, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))
    n = len(problems)
    for name in (
        "execution_accuracy",
        "test_suite_accuracy",
        "exact_set_match",
        "valid_rate",
        "logic_accuracy",
    ):
        assert summary["metrics"][name]["k"] == n - 1, name
        assert summary["metrics"][name]["n"] == n
    assert summary["status_counts"] == {"error": 1, "passed": n - 1, "scored": 2 * n}
    assert {name for name in summary["metrics"] if name.startswith("execution_accuracy[")} == {
        f"execution_accuracy[{level}]" for level in ("easy", "medium", "hard", "extra")
    }
    assert " | sqlite 3." in summary["signature"]


def test_a_file_with_too_few_lines_is_refused_with_both_numbers(tmp_path: Path) -> None:
    file = tmp_path / "predict.txt"
    file.write_text("SELECT 1\n\nSELECT 2\n", encoding="utf-8")
    done = harness("score", "spider", "--data", "mini", "--completions", file, "--out", tmp_path / "run")
    assert "2 rows without ids for 82 problems" in done.complaint


def test_without_databases_the_queries_text_is_scored(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "spider"
    folder.mkdir(parents=True)
    for name in ("dev.json", "tables.json"):
        (folder / name).write_bytes((data_files.mini_folder() / "spider" / name).read_bytes())
    with pytest.raises(DataError, match=r"no file 'database/bakery/bakery.sqlite'.*options.execute=false"):
        load(tmp_path / "data")
    problems = load(tmp_path / "data", execute=False)
    assert [scorer.name for scorer in registry.task("spider", {"execute": False}).scorers] == [
        "exact_set_match",
        "bleu",
    ]
    verdicts = list(scorers.exact_set_match.score([(p, p.solution) for p in problems], None))
    assert [v.score.value for v in verdicts if v.score] == [1.0] * len(problems)


def test_clauses_are_told_where_they_are_asked_for(tmp_path: Path) -> None:
    problems = load("mini")
    file = tmp_path / "predict.txt"
    file.write_text("".join("SELECT name FROM product\n" for _ in problems), encoding="utf-8")
    done = harness(
        "score", "spider", "--data", "mini", "--completions", file, "--out", tmp_path / "run",
        "--set", "scorers=['set_match_clauses']", "--set", "options.execute=false",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["exact_set_match.order"]["value"] == 0.0
    assert 0 < metrics["exact_set_match.select"]["value"] < 1
    assert metrics["exact_set_match.connectives"]["value"] > 0.5


def test_the_studys_sample_is_drawn_by_its_seed_and_keeps_ids() -> None:
    everything = load("mini")
    drawn = load("mini", sample=10)
    assert [problem.id for problem in drawn] == sorted(
        (problem.id for problem in drawn), key=lambda name: int(name.split("/")[-1])
    )
    assert len(drawn) == 10
    assert {problem.id: problem.question for problem in drawn}.items() <= {
        problem.id: problem.question for problem in everything
    }.items()
    assert [p.id for p in load("mini", sample=10)] == [p.id for p in drawn]
    assert [p.id for p in load("mini", sample=10, sample_seed=1)] != [p.id for p in drawn]
    assert len(load("mini", sample=1000)) == len(everything)
    with pytest.raises(ConfigError, match="sample=-1"):
        load("mini", sample=-1)


# ---------------------------------------------------------------- prompts


def test_the_studys_prompt_is_the_question_and_the_schema_line() -> None:
    problem = load("mini")[0]
    task = registry.task("spider")
    shown = templates.render(templates.select_template(task, ""), problem)
    assert [message.role for message in shown.messages] == ["system", "user"]
    assert shown.messages[1].content == (
        "How many products does the bakery sell?\n"
        "schema:product(product_id|name|kind|price|calories),customer(customer_id|name|town|age),"
        "purchase(purchase_id|customer_id|day|paid_by),purchase_item(purchase_id|product_id|quantity)"
    )


PARTS = {"tables": "t(a|b)", "create": "CREATE TABLE t (...);", "rows": "CREATE TABLE t (...);\n/*\n...\n*/"}
ASKED = Problem(
    id="x", question="How many?", solution="SELECT 1", check=Query(sql="SELECT 1", database="d"), parts=PARTS
)
STUDY = "You are a professional SQL engineer. Answer the question with one SQL query over the schema given."
CHAT = "You write SQLite queries. Reply with one query in a code block."
GOLDEN = {
    "study": (("system", STUDY), ("user", "How many?\nschema:t(a|b)")),
    "plain": "CREATE TABLE t (...);\n\n/* How many? */\n",
    "line": (
        "### Instruction:\nWrite one SQLite query that answers the question.\nHow many?\nschema:t(a|b)\n### Response:\n"
    ),
    "create": (
        "CREATE TABLE t (...);\n\n-- Write one SQLite query over these tables.\n-- Question: How many?\n-- Answer:\n"
    ),
    "rows": (
        "CREATE TABLE t (...);\n/*\n...\n*/\n\n"
        "-- Write one SQLite query over these tables.\n-- Question: How many?\n-- Answer:\n"
    ),
    "chat": (("system", CHAT), ("user", "CREATE TABLE t (...);\n/*\n...\n*/\n\nHow many?")),
}


@pytest.mark.parametrize("task", ["spider", "cspider", "sparc", "cosql", "bird"])
def test_every_template_asks_to_the_letter(task: str) -> None:
    shown = {}
    for template in registry.task(task).templates:
        prompt = templates.render(template, ASKED)
        shown[template.name] = prompt.text or tuple((one.role, one.content) for one in prompt.messages)
    assert shown == GOLDEN


def test_a_shot_shows_its_own_schema() -> None:
    other = ASKED.model_copy(update={"question": "Who?", "parts": {**PARTS, "tables": "u(c)"}})
    text = templates.render(templates.select_template(registry.task("spider"), "line"), ASKED, [other]).text
    assert text.index("Who?\nschema:u(c)\n### Response:\nSELECT 1") < text.index("How many?\nschema:t(a|b)")


def test_richer_prompts_show_keys_and_rows() -> None:
    problem = load("mini")[0]
    task = registry.task("spider")
    create, with_rows = (
        templates.render(templates.select_template(task, name), problem).text for name in ("create", "rows")
    )
    assert "  FOREIGN KEY (customer_id) REFERENCES customer(customer_id)\n);" in create
    assert "PRIMARY KEY (purchase_id)" in create
    assert "rye loaf" not in create
    assert (
        "3 rows of product:\nproduct_id\tname\tkind\tprice\tcalories\n1\trye loaf\tbread\t4.5\t900\n"
        in with_rows
    )
    assert with_rows.replace("/*", "").count("rows of") == 4


# ---------------------------------------------------------------- finding the query in an answer


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("select 1; select 2", "select 1"),
        ("Sure:\n```sql\nSELECT a\nFROM b;\n```\nThis counts.", "SELECT a\nFROM b"),
        (
            "```\nSELECT ';' FROM b -- ; no\n WHERE x = 1; SELECT 2\n```",
            "SELECT ';' FROM b -- ; no\n WHERE x = 1",
        ),
        ("The query is: SELECT a FROM b;", "SELECT a FROM b"),
        ("With this you get it.\nSELECT a FROM b", "SELECT a FROM b"),
        ("WITH x AS (SELECT 1) SELECT * FROM x;", "WITH x AS (SELECT 1) SELECT * FROM x"),
        ("I cannot say; sorry.", "I cannot say"),
        ("", ""),
    ],
)
def test_the_first_statement_of_an_answer_is_found(said: str, expected: str) -> None:
    problem = load("mini")[0]
    assert query_text.find_sql(problem, Completion(text=said)) == expected


def test_a_recorded_prediction_stays_as_it_is_and_raw_answers_can_be_scored() -> None:
    problem = load("mini")[0]
    assert (
        query_text.find_sql(problem, Completion(text=" SELECT 1; SELECT 2 ", form="program"))
        == "SELECT 1; SELECT 2"
    )
    raw = registry.with_extractor(registry.task("spider"), "verbatim")
    assert raw.extract(problem, Completion(text="It is: SELECT 1; fine")) == "It is: SELECT 1; fine"
    last = registry.with_extractor(registry.task("spider"), "last_block")
    said = "```sql\nSELECT 1; SELECT 2\n```\nor\n```sql\nSELECT 3; SELECT 4\n```"
    assert last.extract(problem, Completion(text=said)) == "SELECT 3"


# The right column is what sqlparse 0.6.1 makes of it as the official evaluator uses it.
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT DISTINCT a FROM t", "SELECT  a FROM t"),
        ("SELECT count(distinct a) FROM t", "SELECT count( a) FROM t"),
        ("SELECT 'distinct' FROM t; DELETE", "SELECT 'distinct' FROM t; "),
        ("SELECT a > = 1 FROM t WHERE b ! = 2", "SELECT a >= 1 FROM t WHERE b != 2"),
        ("SELECT YEAR( CURDATE() ) - a FROM t", "SELECT 2020- a FROM t"),
        ("SELECT ';' , distinctive FROM t;", "SELECT ';' , distinctive FROM t;"),
    ],
)
def test_queries_are_rewritten_as_the_official_evaluator_does(sql: str, expected: str) -> None:
    assert query_text.normalize_for_spider(sql) == expected
