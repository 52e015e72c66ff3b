"""Variants of a database: constraints hold, seeds decide, lucky queries are found out, gold queries still run."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError
from harness.schema import Problem, Query
from harness.tasks.loading import data_files, registry
from harness.text.sql import db_variants
from harness.text.sql.tables import Table
from tests.support.command import harness

SCRIPT = """
CREATE TABLE team (id INTEGER PRIMARY KEY, code TEXT UNIQUE NOT NULL, founded INTEGER CHECK (founded > 1800));
CREATE TABLE player (id INTEGER PRIMARY KEY, team_id INTEGER NOT NULL REFERENCES team(id),
    boss INTEGER REFERENCES player(id), name TEXT NOT NULL, height REAL, birth DATE);
CREATE TABLE plays (player INTEGER, game TEXT, minutes INTEGER, PRIMARY KEY (player, game));
CREATE TABLE bare (x);
CREATE INDEX by_name ON player(name);
CREATE VIEW tall AS SELECT name FROM player WHERE height > 1.8;
INSERT INTO team VALUES (1,'A',1900),(2,'B',1910),(3,'C',1950);
INSERT INTO player VALUES (1,1,NULL,'Al',1.8,'1990-01-01'),(2,1,1,'Bo',1.9,NULL),
    (3,2,1,'Cy',NULL,'1991-05-05'),(4,3,3,'Di',1.7,'1992-01-01');
INSERT INTO plays VALUES (1,'x',90),(1,'y',90),(2,'x',45),(3,'y',10);
"""
# What tables.json says and the database does not declare.
TABLES = (
    Table(
        "plays", ("player", "game", "minutes"), ("number",) * 3, foreign_keys=(("player", "player", "id"),)
    ),
)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "club.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCRIPT)
    return path


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize("seed", range(25))
def test_a_variant_keeps_the_schema_and_every_constraint(original: Path, tmp_path: Path, seed: int) -> None:
    made = tmp_path / "v.sqlite"
    db_variants.write_variant(original, made, TABLES, seed)
    schema = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    assert rows(made, schema) == rows(original, schema)
    assert rows(made, "PRAGMA foreign_key_check") == []
    assert rows(made, "PRAGMA integrity_check") == [("ok",)]
    assert rows(made, "SELECT count(*) FROM plays WHERE player NOT IN (SELECT id FROM player)") == [(0,)]
    assert rows(made, "SELECT count(*) FROM team")[0][0] in range(1, 6)
    assert (
        rows(made, "SELECT typeof(height) FROM player WHERE height IS NOT NULL AND typeof(height) != 'real'")
        == []
    )
    assert rows(made, "SELECT count(*) FROM player WHERE name IN (SELECT name FROM tall)") >= [(0,)]


def test_seeds_decide_and_the_original_is_left_alone(original: Path, tmp_path: Path) -> None:
    before = hashlib.sha256(original.read_bytes()).hexdigest()
    digests = []
    for number, seed in enumerate((1, 1, 2)):
        path = tmp_path / f"{number}.sqlite"
        db_variants.write_variant(original, path, TABLES, seed)
        digests.append("\n".join(map(str, rows(path, "SELECT * FROM player ORDER BY id"))))
    assert digests[0] == digests[1] != digests[2]
    assert hashlib.sha256(original.read_bytes()).hexdigest() == before
    assert list(original.parent.iterdir()) == [original]


def test_columns_whose_values_are_all_different_stay_so(original: Path, tmp_path: Path) -> None:
    for seed in range(10):
        path = tmp_path / f"{seed}.sqlite"
        db_variants.write_variant(original, path, TABLES, seed)
        assert rows(path, "SELECT name FROM player GROUP BY name HAVING count(*) > 1") == []


# ---------------------------------------------------------------- in a run


def load(data: str | Path = "mini", **options: object) -> list[Problem]:
    return data_files.load(registry.task("spider", options), "test", data_files.open_source(str(data)))


def test_every_gold_query_of_ours_runs_on_every_variant_and_matches_itself() -> None:
    problems = load(variants=6)
    assert isinstance(problems[0].check, Query)
    assert len(problems[0].check.files) == 7
    with sandbox.start() as box:
        verdicts = list(scorers.sql_execution.score([(p, p.solution) for p in problems], box))
    assert [v.error for v in verdicts if v.score is None or v.score.stats[0] < 1] == []


def test_a_lucky_query_is_found_out(tmp_path: Path) -> None:
    # Each is right on the one database there is, for a reason that has nothing to do with the question.
    lucky = {
        "How many products does the bakery sell?": "SELECT 10",
        "Which product is the cheapest?": "SELECT name FROM product WHERE name = 'sesame ring'",
        "Which site is the highest?": "SELECT name FROM site ORDER BY site_id DESC LIMIT 1",
        "Which depot has the most bays?": "SELECT name FROM depot ORDER BY depot_id LIMIT 1",
        "Which drivers were hired after 2015?": "SELECT name FROM driver WHERE wage < 18.9",
    }
    problems = load()
    file = tmp_path / "predict.txt"
    file.write_text("".join(f"{lucky.get(p.question, p.solution)}\n" for p in problems), encoding="utf-8")
    done = harness(
        "score", "spider", "--data", "mini", "--completions", file, "--out", tmp_path / "run",
        "--set", "options.variants=8",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["metrics"]
    assert metrics["execution_accuracy"]["k"] == len(problems)
    assert metrics["test_suite_accuracy"]["k"] == len(problems) - len(lucky)


def test_variants_need_databases() -> None:
    for options in ({"variants": -1}, {"variants": 3, "execute": False}):
        with pytest.raises(ConfigError, match="option variants="):
            registry.task("spider", options)


def test_real_gold_queries_run_on_variants_and_some_recorded_answers_were_lucky(real_data: Path) -> None:
    problems = load(real_data, variants=3)
    path = real_data / "spider" / "outputs" / "dail_gpt4.verdicts.jsonl"
    said = [json.loads(line)["pred"] for line in path.read_text(encoding="utf-8").splitlines()]
    with sandbox.start() as box:
        own = list(scorers.sql_execution.score([(p, p.solution) for p in problems], box))
        theirs = list(scorers.sql_execution.score(zip(problems, said, strict=True), box))
    assert [v.error for v in own if v.score is None or v.score.stats[0] < 1] == []
    main = sum(v.score.value for v in theirs if v.score)
    suite = sum(v.score.stats[0] for v in theirs if v.score)
    assert 0.8 * main < suite < main
