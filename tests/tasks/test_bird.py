"""BIRD on databases in its own layout, as its archives unpack: what is found, shown, run and scored."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness import sandbox, scorers
from harness.errors import ConfigError, DataError
from harness.schema import Problem, Query, Verdict
from harness.tasks.loading import data_files, registry
from tests.support.command import harness

ROWS = [
    {
        "question_id": 1471,
        "db_id": "ski_school",
        "question": "How many lessons cost more than 50 euros?",
        "evidence": "cost refers to `price (EUR)`",
        "SQL": "SELECT COUNT(*) FROM lesson WHERE `price (EUR)` > 50",
        "difficulty": "simple",
    },
    {
        "question_id": 1480,
        "db_id": "ski_school",
        "question": "Which teachers have orders?",
        "evidence": "",
        "SQL": "SELECT DISTINCT T1.name FROM teacher AS T1\nINNER JOIN `order` AS T2 ON T1.id = T2.teacher",
        "difficulty": "moderate",
    },
    {
        "question_id": 1499,
        "db_id": "library",
        "question": "What is the value of the dearest book?",
        "evidence": "dearest refers to MAX(value)",
        "SQL": "SELECT MAX(value) FROM book",
        "difficulty": "challenging",
    },
]
TABLES = [
    {
        "db_id": "ski_school",
        "table_names_original": ["teacher", "lesson", "order"],
        "column_names_original": [
            [-1, "*"],
            [0, "id"],
            [0, "name"],
            [1, "price (EUR)"],
            [2, "teacher"],
            [2, "day"],
        ],
        "column_types": ["text", "integer", "text", "real", "integer", "date"],
        "primary_keys": [1, [4, 5]],
        "foreign_keys": [[4, 1]],
    },
    {
        "db_id": "library",
        "table_names_original": ["book"],
        "column_names_original": [[-1, "*"], [0, "title"], [0, "value"]],
        "column_types": ["text", "text", "real"],
        "primary_keys": [1],
        "foreign_keys": [],
    },
]
SCRIPTS = {
    "ski_school": "CREATE TABLE teacher (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE lesson (`price (EUR)` REAL);"
    " CREATE TABLE `order` (teacher INTEGER, day TEXT, PRIMARY KEY (teacher, day));"
    " INSERT INTO teacher VALUES (1, 'Ana'), (2, 'Bo'); INSERT INTO lesson VALUES (40), (60), (90);"
    " INSERT INTO `order` VALUES (1, '2024-01-02'), (1, '2024-01-03'), (2, '2024-01-02');",
    "library": "CREATE TABLE book (title TEXT, value REAL); INSERT INTO book VALUES ('A', 3), ('B', 5), ('C', 5);",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """DATA/bird with the mini-dev rows, the development rows, a train split and their databases."""
    bird = tmp_path / "data" / "bird"
    for split, rows in (("dev", ROWS), ("train", [{**row, "evidence": "a hint"} for row in ROWS])):
        for name, script in SCRIPTS.items():
            folder = bird / f"{split}_databases" / name
            folder.mkdir(parents=True)
            with closing(sqlite3.connect(folder / f"{name}.sqlite")) as connection:
                connection.executescript(script)
        (bird / f"{split}_tables.json").write_text(json.dumps(TABLES), encoding="utf-8")
        kept = [{key: row[key] for key in ("db_id", "question", "evidence", "SQL")} for row in rows]
        (bird / f"{split}.json").write_text(json.dumps(kept), encoding="utf-8")
    (bird / "mini_dev_sqlite.json").write_text(json.dumps(ROWS), encoding="utf-8")
    described = bird / "dev_databases" / "library" / "database_description"
    described.mkdir()
    (described / "book.csv").write_bytes(b"original_column_name,column_description\nvalue,in \x80\n")
    return tmp_path / "data"


def load(data: Path, split: str = "test", **options: object) -> list[Problem]:
    source = data_files.open_source(str(data))
    return data_files.load(registry.task("bird", options), split, source)  # type: ignore[arg-type]


def judged(pairs: list[tuple[Problem, str]]) -> list[Verdict]:
    with sandbox.start(sandbox.Settings(workers=1)) as box:
        return list(registry.task("bird").scorers[0].score(pairs, box))


def written(folder: Path, answers: dict[str, str]) -> Path:
    """Predictions in BIRD's own form."""
    file = folder / "predict_mini_dev_sqlite.json"
    file.write_text(json.dumps({name: f"{sql}\t----- bird -----\tx" for name, sql in answers.items()}))
    return file


# ---------------------------------------------------------------- what is read


def test_ids_hints_and_difficulties_are_the_rows_own(data: Path) -> None:
    problems = load(data)
    assert [problem.id for problem in problems] == [f"bird/mini_dev/{n}" for n in (1471, 1480, 1499)]
    assert [problem.group for problem in problems] == ["simple", "moderate", "challenging"]
    assert [problem.cluster for problem in problems] == ["ski_school", "ski_school", "library"]
    assert problems[0].question.endswith("\nevidence: cost refers to `price (EUR)`")
    assert problems[1].question == "Which teachers have orders?"
    assert load(data, evidence=False)[0].question == "How many lessons cost more than 50 euros?"


def test_rows_without_id_and_difficulty_are_named_by_their_place(data: Path) -> None:
    problems = load(data, corpus="dev")
    assert [(problem.id, problem.group) for problem in problems] == [(f"bird/dev/{n}", "") for n in range(3)]
    drawn = load(data, corpus="dev", sample=2, sample_seed=1)
    assert [problem.id for problem in drawn] == ["bird/dev/0", "bird/dev/2"]


def test_shots_are_of_the_train_split_with_its_own_databases(data: Path) -> None:
    train = load(data, "train")
    assert [problem.id for problem in train] == [f"bird/train/{n}" for n in range(3)]
    assert train[1].question == "Which teachers have orders?\nevidence: a hint"
    assert isinstance(train[0].check, Query)
    assert "train_databases" in train[0].check.files[0].path
    with pytest.raises(DataError, match="task 'bird' has no validation rows"):
        load(data, "validation")


def test_prompts_show_odd_names_composite_keys_and_sample_rows(data: Path) -> None:
    parts = load(data)[0].parts
    assert parts["tables"] == "teacher(id|name),lesson(price (EUR)),order(teacher|day)"
    assert '  "price (EUR)" real' in parts["create"]
    assert "  PRIMARY KEY (teacher, day)," in parts["create"]
    assert "  FOREIGN KEY (teacher) REFERENCES teacher(id)" in parts["create"]
    assert "3 rows of order:\nteacher\tday\n1\t2024-01-02\n" in parts["rows"]


# ---------------------------------------------------------------- what is judged


def test_every_gold_query_passes_and_rows_are_compared_as_sets(data: Path) -> None:
    problems = load(data)
    repeated = "SELECT name FROM teacher JOIN `order` ON id = teacher ORDER BY day DESC"
    answers = [*((problem, problem.solution) for problem in problems), (problems[1], repeated)]
    assert [verdict.status for verdict in judged(answers)] == ["passed"] * 4


def test_a_column_called_value_is_a_column(data: Path) -> None:
    (verdict,) = judged([(load(data)[2], "SELECT value FROM book ORDER BY value DESC LIMIT 1")])
    assert verdict.status == "passed"


def test_another_file_beside_a_database_is_no_test_suite(data: Path) -> None:
    beside = data / "bird" / "dev_databases" / "library" / "old.sqlite"
    sqlite3.connect(beside).close()
    check = load(data)[2].check
    assert isinstance(check, Query)
    assert [Path(file.path).name for file in check.files] == ["library.sqlite"]
    assert (check.compare, check.cpu_s) == ("set", 30.0)


def test_the_command_reads_birds_predictions_and_reports_by_difficulty(data: Path, tmp_path: Path) -> None:
    answers = {str(place): row["SQL"] for place, row in enumerate(ROWS)}
    answers["1"] = "SELECT name FROM teacher WHERE id = 1"
    done = harness(
        "score", "bird", "--data", data, "--completions", written(tmp_path, answers), "--out", tmp_path / "run",
        "--set", "scorers=['ves']",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "summary.json").read_text(encoding="utf-8"))["metrics"]
    assert [metrics[f"execution_accuracy{of}"]["k"] for of in ("", "[simple]", "[moderate]", "[challenging]")] == [
        2, 1, 0, 1,
    ]  # fmt: skip
    assert metrics["soft_f1"]["k"] == pytest.approx(2 + 2 / 3)
    assert metrics["valid_rate"]["k"] == 3
    assert metrics["ves"]["value"] > 0.3
    assert "bleu" in metrics


def test_without_databases_only_texts_are_compared(data: Path, tmp_path: Path) -> None:
    for folder in ("dev_databases", "train_databases"):
        (data / "bird" / folder).rename(tmp_path / folder)
    with pytest.raises(DataError, match=r"ski_school.sqlite.*options.execute=false"):
        load(data)
    assert [scorer.name for scorer in registry.task("bird", {"execute": False}).scorers] == ["bleu"]
    problems = load(data, execute=False)
    assert problems[0].parts["rows"] == problems[0].parts["create"]
    (fault,) = scorers.bleu.score([(problems[0], problems[0].solution)], None)
    assert fault.score is not None


# ---------------------------------------------------------------- what is wrong


def test_a_table_that_a_database_lacks_costs_its_questions(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = data / "bird" / "dev_databases" / "ski_school" / "ski_school.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE `order`")
    problems = load(data)
    assert caplog.messages == [
        "database ski_school lacks order, so that 1 of its questions cannot be judged by execution: bird/mini_dev/1480"
    ]
    verdicts = judged([(problem, problem.solution) for problem in problems])
    assert [verdict.status for verdict in verdicts] == ["passed", "fault", "passed"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"db_id": "zoo"}, r"bird/dev_tables.json: no database 'zoo', which a question is about"),
        ({"SQL": None}, r"sql: input should be a valid string"),
    ],
)
def test_a_row_that_does_not_fit_is_named(data: Path, change: dict[str, Any], complaint: str) -> None:
    rows = [ROWS[0], {**ROWS[1], **change}]
    (data / "bird" / "mini_dev_sqlite.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(DataError, match=complaint):
        load(data)


def test_a_row_without_evidence_is_named_with_its_place(data: Path) -> None:
    row = {key: value for key, value in ROWS[0].items() if key != "evidence"}
    (data / "bird" / "mini_dev_sqlite.json").write_text(json.dumps([row]), encoding="utf-8")
    with pytest.raises(DataError, match=r"mini_dev_sqlite.json, row 1: field 'evidence' is missing"):
        load(data)


def test_another_corpus_is_refused() -> None:
    with pytest.raises(ConfigError, match="corpus 'test': expected 'dev' or 'mini_dev'"):
        registry.task("bird", {"corpus": "test"})
