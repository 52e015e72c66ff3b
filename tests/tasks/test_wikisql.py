"""WikiSQL: logical forms read from SQL and JSON, the official comparison, execution on the benchmark's database."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import sandbox, scorers
from harness.schema import LogicalForm, Problem, Query, Score
from harness.tasks.loading import data_files, registry
from harness.text.sql import wikisql_form
from tests.support.command import harness, write_rows

TABLE = LogicalForm(
    sel=0,
    agg=0,
    conds=(),
    table="1-2-3",
    header=("Player", "No.", "School/Club Team", "Years in Toronto"),
    types=("text", "real", "text", "text"),
)


def form(answer: str) -> tuple[object, object, list[object]] | None:
    found = wikisql_form.parse_answer(answer, TABLE)
    return None if found is None else (found["sel"], found["agg"], list(map(tuple, found["conds"])))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('SELECT "Player" FROM table WHERE "No." = 5', (0, 0, [(1, 0, "5")])),
        ("select player from table where no = '5'", (0, 0, [(1, 0, "5")])),
        ("SELECT MAX(No.) FROM table", (1, 1, [])),
        (
            "SELECT COUNT ( Player ) FROM table WHERE School/Club Team = Butler CC (KS)",
            (0, 3, [(2, 0, "Butler CC (KS)")]),
        ),
        (
            "SELECT `Player` FROM t WHERE [No.] > 3 AND \"School/Club Team\" = 'Rock and Roll, ''x'''",
            (0, 0, [(1, 1, "3"), (2, 0, "Rock and Roll, 'x'")]),
        ),
        ("SELECT col1 FROM table_1_2_3 WHERE col0 < 'a'", (1, 0, [(0, 2, "a")])),
        ('{"sel": 3, "agg": 0, "conds": [[0, 0, "x"]]}', (3, 0, [(0, 0, "x")])),
        ('{"query": {"sel": 3, "agg": 5, "conds": []}, "other": 1}', (3, 5, [])),
        ("SELECT COUNT(*) FROM table", ("*", 3, [])),
        ("SELECT nothing FROM table", None),
        ("SELECT Player, No. FROM table", None),
        ("SELECT Player FROM table WHERE a = 1 OR b = 2", None),
        ('{"error": "none"}', None),
        ('{"query": 5}', None),
        ("{broken", None),
        ("", None),
    ],
)
def test_forms_are_read_from_sql_and_json(answer: str, expected: object) -> None:
    assert form(answer) == expected


def test_forms_are_compared_as_officially() -> None:
    gold = TABLE.model_copy(update={"sel": 2, "agg": 3, "conds": ((0, 0, "A b"), (1, 1, 5))})

    def same(**change: object) -> bool:
        return wikisql_form.equal({"sel": 2, "agg": 3, "conds": [[0, 0, "A b"], [1, 1, 5]]} | change, gold)

    assert same()
    assert same(conds=[[1, 1, "5"], [0, 0, "a B"], [0, 0, "A B"]])  # a set, lower case, numbers as text
    assert not same(conds=[[1, 1, "5.0"], [0, 0, "A b"]])
    assert not same(sel=1)
    assert not same(agg=0)
    assert not same(conds=[[0, 0, "A b"]])
    assert not same(conds=[[0, [0], "A b"]])
    assert not same(conds=5)
    assert not wikisql_form.equal(None, gold)


VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r"), min_size=1), st.integers(0, 99)
)
FORMS = st.builds(
    lambda sel, agg, conds: TABLE.model_copy(update={"sel": sel, "agg": agg, "conds": tuple(conds)}),
    st.integers(0, 3),
    st.integers(0, 5),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), VALUES), max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(FORMS)
def test_what_a_shot_shows_is_read_back(gold: LogicalForm) -> None:
    assert wikisql_form.equal(wikisql_form.parse_answer(wikisql_form.sql_over_header(gold), gold), gold)


def problems(split: str = "test", data: str = "mini", **options: object) -> list[Problem]:
    task = registry.task("wikisql", options)
    return data_files.load(task, split, data_files.open_source(data))  # type: ignore[arg-type]


def test_answers_in_sql_are_executed_on_the_benchmarks_columns() -> None:
    (problem,) = [p for p in problems() if p.question == "What is the highest season?"]
    assert isinstance(problem.check, Query)
    assert problem.check.sql == "SELECT MAX(col0) FROM table_1_200_4"
    answers = {
        'SELECT MAX("Season") FROM table': (True, True),
        'SELECT "Season" FROM table ORDER BY "Season" DESC LIMIT 1': (True, False),
        "WITH x AS (SELECT Season AS s FROM table WHERE \"Venue\" = 'The BOWL') SELECT max(s) FROM x": (
            True,
            False,
        ),
        'SELECT MIN("Season") FROM table': (False, False),
        "SELECT COUNT(*) FROM table": (False, False),
        '{"sel": 0, "agg": 1, "conds": []}': (True, True),
        '{"sel": -1, "agg": 1, "conds": []}': (False, False),
        '{"sel": 99, "agg": 1, "conds": [[7, 9, 1]]}': (False, False),
        "nonsense": (False, False),
    }
    pairs = [(problem, answer) for answer in answers]
    with sandbox.start() as box:
        executed = list(scorers.sql_execution.score(pairs, box))
    formed = list(scorers.lf_accuracy.score(pairs, None))

    def right(score: Score | None) -> bool:
        assert score is not None
        return score.value == 1.0

    said = {
        answer: (right(run.score), right(lf.score))
        for (_, answer), run, lf in zip(pairs, executed, formed, strict=True)
    }
    assert said == answers


def test_texts_compared_with_numbers_become_numbers() -> None:
    gold = TABLE.model_copy(update={"conds": ((1, 1, "1,234.5 points"), (0, 0, "It's")), "sel": 3})
    assert (
        wikisql_form.sql_over_database(gold)
        == "SELECT col3 FROM table_1_2_3 WHERE col1 > 1.0 AND col0 = 'it''s'"
    )
    plain = gold.model_copy(update={"conds": ((1, 1, "1,234.5"),)})
    assert wikisql_form.sql_over_database(plain) == "SELECT col3 FROM table_1_2_3 WHERE col1 > 1234.5"
    none = gold.model_copy(update={"conds": ((1, 1, "none"),)})
    assert wikisql_form.sql_over_database(none) == ""


def test_the_official_prediction_format_is_scored_in_its_order(tmp_path: Path) -> None:
    asked = problems()
    rows: list[object] = []
    for problem in asked:
        assert isinstance(problem.check, Query)
        assert problem.check.form is not None
        rows.append(
            {"query": json.loads(problem.check.form.model_dump_json(include={"sel", "agg", "conds"}))}
        )
    rows[3] = {"error": "nothing came to mind"}
    file = write_rows(tmp_path / "pred.jsonl", rows)
    done = harness("score", "wikisql", "--data", "mini", "--completions", file, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["metrics"]
    for name in ("lf_accuracy", "execution_accuracy", "logic_accuracy", "valid_rate"):
        assert (metrics[name]["k"], metrics[name]["n"]) == (len(asked) - 1, len(asked)), name


def test_real_rows_do_not_match_each_other_without_tables(real_data: Path) -> None:
    asked = problems("validation", str(real_data), execute=False)
    assert len(asked) == 2000
    moved = [(problem, other.solution) for problem, other in zip(asked, asked[1:] + asked[:1], strict=True)]
    assert sum(v.score.value for v in scorers.lf_accuracy.score(moved, None) if v.score) < 20
