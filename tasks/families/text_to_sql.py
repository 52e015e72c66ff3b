"""What the text-to-SQL tasks share: their prompts, their options, and problems from rows of Spider's format."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.errors import ConfigError
from harness.schema import DataFile, Problem, Query, Source, Split, Template
from harness.text.sql import exact_set_match, spider_grammar
from harness.text.sql.databases import Database, DatabaseOptions, Databases

Row = TypeVar("Row")
Load = Callable[[Split, Source], Iterable[Problem]]

SPLIT_NAMES = {"train": "train", "test": "dev"}  # the development set is what systems are compared on

# The system message is our wording of Table 7 in 2311.02303, which prints a translation of another original.
STUDY = Template(
    name="study",
    style="chat",
    system="You are a professional SQL engineer. Answer the question with one SQL query over the schema given.",
    question="{question}\nschema:{tables}",
)
# For models that continue a text: a script, in which a query ends as it does in the shots.
PLAIN = Template(
    name="plain",
    style="plain",
    question="{create}\n\n/* {question} */\n",
    answer="{solution};",
    stop=(";", "\n\n", "\n/*"),
)
LINE = Template(
    name="line",
    style="instruction",
    question="### Instruction:\nWrite one SQLite query that answers the question.\n{question}\n"
    "schema:{tables}\n### Response:\n",
)
CREATE = Template(
    name="create",
    style="instruction",
    question="{create}\n\n-- Write one SQLite query over these tables.\n-- Question: {question}\n-- Answer:\n",
    stop=(";",),
)
ROWS = CREATE.model_copy(update={"name": "rows", "question": CREATE.question.replace("{create}", "{rows}")})
CHAT = Template(
    name="chat",
    style="chat",
    system="You write SQLite queries. Reply with one query in a code block.",
    question="{rows}\n\n{question}",
    answer="```sql\n{solution}\n```",
)
TEMPLATES = (STUDY, PLAIN, LINE, CREATE, ROWS, CHAT)


def sample_rows(rows: Sequence[Row], count: int, seed: int) -> list[tuple[int, Row]]:
    """(place, row) of all rows, or of `count` drawn ones in their order (the study's protocol)."""
    if count < 0:
        raise ConfigError(f"option sample={count}: expected 0 for all, or a number of questions")
    places: Iterable[int] = range(len(rows))
    if 0 < count < len(rows):
        places = sorted(random.Random(seed).sample(range(len(rows)), count))
    return [(place, rows[place]) for place in places]


def database_options(execute: bool, variants: int, seed: int) -> DatabaseOptions:
    """The options about databases. Raises ConfigError."""
    if variants < 0 or (variants and not execute):
        raise ConfigError(f"option variants={variants}: expected a number of databases, with execute=true")
    return DatabaseOptions(execute, variants, seed)


def hardness(sql: str, database: Database) -> str:
    """Spider's level of a gold query; `unreadable` where its grammar does not reach."""
    try:
        return exact_set_match.hardness(spider_grammar.parse(sql, database.names))
    except spider_grammar.UnparsableQuery:
        return "unreadable"


def problem(name: str, question: str, sql: str, database: Database, group: str | None = None) -> Problem:
    """A problem of Spider's kind: bag semantics, exact set match, hardness as its group, its database as cluster."""
    check = Query(
        sql=sql, database=database.name, folders=database.folders, files=database.files, tables=database.names
    )
    return Problem(
        id=name,
        question=question,
        solution=sql,
        check=check,
        group=hardness(sql, database) if group is None else group,
        cluster=database.name,
        parts=database.parts,
    )


def question_loader(
    benchmarks: tuple[str, ...],
    files: Mapping[str, DataFile],
    tables: DataFile,
    options: DatabaseOptions,
    sample: int,
    seed: int,
) -> Load:
    """Loads Spider's rows for the first of `benchmarks`; the databases are looked for in the folder of each."""

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split not in files:
            return
        databases = Databases(source, benchmarks, tables, "database/", options)
        rows = list(source.rows(files[split], ("db_id", "question", "query")))
        for place, row in sample_rows(rows, sample, seed):
            name = f"{benchmarks[0]}/{SPLIT_NAMES[split]}/{place}"
            yield problem(name, row["question"], row["query"], databases[row["db_id"]])

    return load


# ---------------------------------------------------------------- conversations


Grouping = Literal["hardness", "turn"]


@dataclass(frozen=True)
class ConversationTurn:
    """One question of a conversation; `number` from 0, `earlier`: what was asked before it, oldest first."""

    interaction: int
    number: int
    question: str
    earlier: tuple[str, ...]
    sql: str
    database: str

    def problem(self, prefix: str, database: Database, group: Grouping) -> Problem:
        lines = [f"Asked before: {each}" for each in self.earlier]
        turn = f"turn {self.number + 1}" if self.number < 4 else "turn > 4"
        return problem(
            f"{prefix}/{self.interaction}/{self.number}",
            "\n".join([*lines, self.question]),
            self.sql,
            database,
            turn if group == "turn" else None,
        )


def conversation_turns(rows: Iterable[tuple[int, Mapping[str, Any]]]) -> Iterator[ConversationTurn]:
    """Every turn of SParC's and CoSQL's rows (place, row), in order."""
    for place, row in rows:
        asked: tuple[str, ...] = ()
        for number, one in enumerate(row["interaction"]):
            question = str(one["utterance"]).strip()
            yield ConversationTurn(place, number, question, asked, one["query"], row["database_id"])
            asked = (*asked, question)


def conversation_loader(
    benchmarks: tuple[str, ...],
    files: Mapping[str, DataFile],
    tables: DataFile,
    options: DatabaseOptions,
    sample: int,
    seed: int,
    group: Grouping,
) -> Load:
    """Loads the turns of SParC's rows as `questions` does Spider's; `sample` counts interactions."""
    if group not in ("hardness", "turn"):
        raise ConfigError(f"option group={group!r}: expected 'hardness' or 'turn'")

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split not in files:
            return
        databases = Databases(source, benchmarks, tables, "database/", options)
        rows = list(source.rows(_locate_rows(files[split], source), ("database_id", "interaction")))
        for turn in conversation_turns(sample_rows(rows, sample, seed)):
            yield turn.problem(f"{benchmarks[0]}/{SPLIT_NAMES[split]}", databases[turn.database], group)

    return load


def _locate_rows(file: DataFile, source: Source) -> DataFile:
    """Where upstream has it, or next to tables.json, where people put it."""
    neighbour = DataFile(file.benchmark, Path(file.name).name)
    return neighbour if source.find(file) is None and source.find(neighbour) is not None else file
