"""WikiSQL: questions to SQL over one table of Wikipedia (Zhong et al., 2017).

One row: table_id "1-10015132-11", question "What position does the player who played for butler cc (ks) play?" ->
sql {"sel": 3, "agg": 0, "conds": [[5, 0, "Butler CC (KS)"]]}. Judged by logical form, and by executing it on the
benchmark's database. An answer is SQL over the table's header, or the form itself as JSON.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import scorers
from harness.errors import DataError
from harness.schema import (
    Card,
    DataFile,
    LogicalForm,
    Problem,
    Query,
    Sampling,
    Scorer,
    Source,
    Split,
    Task,
)
from harness.tasks.families import text_to_sql
from harness.text.sql import databases, tables, wikisql_form
from harness.text.sql.query_text import find_sql

NAMES = {"train": "train", "validation": "dev", "test": "test"}
ROWS = {split: DataFile("wikisql", f"{name}.jsonl") for split, name in NAMES.items()}
TABLES = {split: DataFile("wikisql", f"{name}.tables.jsonl") for split, name in NAMES.items()}
TEMPLATES = tuple(template for template in text_to_sql.TEMPLATES if template.name != "rows")


def _scorers(execute: bool) -> tuple[Scorer, ...]:
    bleu = scorers.for_queries(False)[-1]
    executed = scorers.sql_execution_with("execution_accuracy", "logic_accuracy", "valid_rate")
    return (scorers.lf_accuracy, *((executed,) if execute else ()), bleu)


def _logical_form(row: Mapping[str, Any], table: Mapping[str, Any]) -> LogicalForm:
    return LogicalForm(
        sel=row["sql"]["sel"],
        agg=row["sql"]["agg"],
        conds=tuple((column, operator, value) for column, operator, value in row["sql"]["conds"]),
        table=row["table_id"],
        header=tuple(table.get("header", ())),
        types=tuple(table.get("types", ())),
    )


def task(execute: bool = True, sample: int = 0, sample_seed: int = 42) -> Task:
    """`execute` False leaves the database out; the tables' headers too, where that file is not there."""

    def load(split: Split, source: Source) -> Iterable[Problem]:
        return _problems(split, source) if split in NAMES else ()

    def _problems(split: Split, source: Source) -> Iterator[Problem]:
        headers: dict[str, Mapping[str, Any]] = {}
        if execute or source.find(TABLES[split]) is not None:
            headers = {row["id"]: row for row in source.rows(TABLES[split], ("id", "header", "types"))}
        files = databases.find_file(source, "wikisql", NAMES[split]) if execute else ()
        rows = list(source.rows(ROWS[split], ("table_id", "question", "sql")))
        for place, row in text_to_sql.sample_rows(rows, sample, sample_seed):
            table = headers.get(row["table_id"], {} if not headers else None)
            if table is None:
                raise DataError(
                    f"{TABLES[split].name}: no table {row['table_id']!r}, which row {place} asks about"
                )
            form = _logical_form(row, table)
            check = Query(
                sql=wikisql_form.sql_over_database(form),
                database=row["table_id"],
                folders=tuple(str(Path(file.path).parent) for file in files),
                files=files,
                compare="list",
                form=form,
            )
            yield Problem(
                id=f"wikisql/{NAMES[split]}/{place}",
                question=row["question"],
                solution=wikisql_form.sql_over_header(form),
                check=check,
                cluster=row["table_id"],
                parts=tables.prompt_parts_of_header(wikisql_form.TABLE, form.header, form.types),
            )

    return Task(
        name="wikisql",
        version=2,
        load=load,
        templates=TEMPLATES,
        extract=find_sql,
        scorers=_scorers(execute),
        sampling=Sampling(max_tokens=128),
        card=Card(
            title="WikiSQL: questions to SQL over one table",
            paper="Zhong et al. 2017, arXiv 1709.00103",
            licence="BSD-3-Clause",
            tags=("text-to-sql",),
            languages=("sql",),
            url="https://github.com/salesforce/WikiSQL",
            sizes={"train": 56355, "validation": 8421, "test": 15878},
            setting="greedy, zero-shot, 200 sampled questions (2311.02303)",
            files=(*ROWS.values(), *TABLES.values()),
        ),
    )
