"""BIRD: questions to SQL over large databases, with a hint that says what values mean (Li et al., 2023).

One row: db_id "debit_card_specializing", question "What is the ratio of customers who pay in EUR against ...?",
evidence "ratio of ... = count(Currency = 'EUR') / count(Currency = 'CZK')" -> SQL. Results are compared as sets of
rows; a problem's group is its difficulty. `test` is the development set, or with corpus "mini_dev" its 500 questions.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from harness import scorers
from harness.errors import ConfigError
from harness.schema import Card, DataFile, Problem, Query, Sampling, Scorer, Source, Split, Task
from harness.tasks.families import text_to_sql
from harness.text.sql.databases import Database, DatabaseOptions, Databases
from harness.text.sql.query_text import find_sql

Corpus = Literal["dev", "mini_dev"]
CPU_S = 30.0  # of the official evaluator

FILES = {"dev": DataFile("bird", "dev.json"), "mini_dev": DataFile("bird", "mini_dev_sqlite.json")}
TRAIN = DataFile("bird", "train.json")
TABLES = {"train": DataFile("bird", "train_tables.json"), "test": DataFile("bird", "dev_tables.json")}
FOLDERS = {"train": "train_databases/", "test": "dev_databases/"}
SIZES = {"dev": 1534, "mini_dev": 500}


def _scorers(execute: bool) -> tuple[Scorer, ...]:
    bleu = scorers.for_queries(False)[-1]
    names = ("execution_accuracy", "soft_f1", "logic_accuracy", "valid_rate")
    return (*((scorers.sql_execution_with(*names),) if execute else ()), bleu)


def _problem(name: str, row: Mapping[str, Any], database: Database, evidence: bool) -> Problem:
    hint = f"\nevidence: {row['evidence']}" if evidence and row["evidence"] else ""
    check = Query(
        sql=row["SQL"],
        database=database.name,
        folders=database.folders,
        files=database.files[:1],
        compare="set",
        tables=database.names,
        cpu_s=CPU_S,
    )
    return Problem(
        id=name,
        question=row["question"] + hint,
        solution=row["SQL"],
        check=check,
        group=row.get("difficulty", ""),
        cluster=database.name,
        parts=database.parts,
    )


def task(
    corpus: Corpus = "mini_dev",
    evidence: bool = True,
    execute: bool = True,
    sample: int = 0,
    sample_seed: int = 42,
) -> Task:
    """`evidence` False keeps the hints from the model; `execute` False leaves databases out, and all but BLEU."""
    if corpus not in FILES:
        raise ConfigError(f"task 'bird': corpus {corpus!r}: expected {' or '.join(map(repr, FILES))}")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split not in TABLES:
            return ()
        return text_to_sql.warned(_problems(split, source)) if split == "test" else _problems(split, source)

    def _problems(split: Split, source: Source) -> Iterator[Problem]:
        databases = Databases(source, ("bird",), TABLES[split], FOLDERS[split], DatabaseOptions(execute))
        file = TRAIN if split == "train" else FILES[corpus]
        rows = list(source.rows(file, ("db_id", "question", "evidence", "SQL")))
        for place, row in text_to_sql.sample_rows(rows, sample, sample_seed):
            name = f"train/{place}" if split == "train" else f"{corpus}/{row.get('question_id', place)}"
            yield _problem(f"bird/{name}", row, databases[row["db_id"]], evidence)

    return Task(
        name="bird",
        version=2,
        load=load,
        templates=text_to_sql.TEMPLATES,
        extract=find_sql,
        scorers=_scorers(execute),
        sampling=Sampling(max_tokens=512),
        card=Card(
            title="BIRD: questions with hints to SQL over large databases",
            paper="Li et al. 2023, arXiv 2305.03111",
            licence="CC BY-SA 4.0",
            tags=("text-to-sql",),
            languages=("sql",),
            url="https://bird-bench.github.io",
            sizes={"train": 9428, "test": SIZES[corpus]},
            setting="greedy, zero-shot, with evidence; scorers = ['ves'] adds the efficiency scores",
            files=(FILES[corpus], TABLES["test"], TRAIN, TABLES["train"]),
        ),
    )
