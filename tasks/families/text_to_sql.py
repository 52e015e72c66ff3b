"""What the text-to-SQL tasks share: their prompts, their options, and problems from rows of Spider's format."""

import hashlib
import inspect
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from harness.errors import ConfigError, DataError
from harness.files import decode, lines, read
from harness.schema import DataFile, Problem, Query, Source, SpiderRules, Split, TableNames, Task, Template
from harness.text.sql import exact_set_match, query_text, spider_grammar
from harness.text.sql.databases import Database, DatabaseOptions, Databases, reads_absent

LOG = logging.getLogger(__name__)
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


FillValue = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class SpiderOptions:
    """The options that the tasks of Spider's kind share, as their `task` functions take them.

    `execute` False leaves databases out; `sample` questions (of conversations: interactions) are drawn with
    `sample_seed`; `variants` of each database join its test suite; `gold` is a file of gold queries in place of
    those beside the questions; `fill_value`: `value` in answers is read as 1 unless the database
    has such a name (auto), always (as in the official evaluator) or never; the others are schema.SpiderRules.
    """

    execute: bool = True
    sample: int = 0
    sample_seed: int = 42
    variants: int = 0
    variant_seed: int = 0
    gold: str = ""
    fill_value: FillValue = "auto"
    plug_value: bool = False
    keep_distinct: bool = False

    def __post_init__(self) -> None:
        if self.variants < 0 or (self.variants and not self.execute):
            raise ConfigError(
                f"option variants={self.variants}: expected a number of databases, with execute=true"
            )
        for name, chosen in (("plug_value", self.plug_value), ("keep_distinct", self.keep_distinct)):
            if chosen and not self.execute:
                raise ConfigError(f"option {name}: it is about executed queries, and execute=false runs none")

    @property
    def databases(self) -> DatabaseOptions:
        return DatabaseOptions(self.execute, self.variants, self.variant_seed)

    def rules(self, names: TableNames) -> SpiderRules:
        """The rules for questions about a database of these names."""
        words = [*names.columns, *(each for columns in names.columns.values() for each in columns)]
        named = any("value" in word for word in words)
        return SpiderRules(
            fill_value=self.fill_value == "always" or (self.fill_value == "auto" and not named),
            plug_value=self.plug_value,
            keep_distinct=self.keep_distinct,
        )


Grouping = Literal["hardness", "turn"]


@dataclass(frozen=True)
class ConversationOptions(SpiderOptions):
    """`group` tells the metrics by hardness or by turn."""

    group: Grouping = "hardness"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group not in ("hardness", "turn"):
            raise ConfigError(f"option group={self.group!r}: expected 'hardness' or 'turn'")


Options = TypeVar("Options", bound=SpiderOptions)


def with_options(options: type[Options]) -> Callable[[Callable[[Options], Task]], Callable[..., Task]]:
    """A decorator: a task's function gets its keyword arguments, the fields of the dataclass, as one value."""

    def decorate(make: Callable[[Options], Task]) -> Callable[..., Task]:
        def task(**given: Any) -> Task:
            return make(options(**given))

        task.__doc__, task.__module__ = make.__doc__, make.__module__
        task.__signature__ = inspect.signature(options).replace(return_annotation=Task)  # type: ignore[attr-defined]
        return task

    return decorate


def hardness(sql: str, database: Database) -> str:
    """Spider's level of a gold query; `unreadable` where its grammar does not reach."""
    try:
        return exact_set_match.hardness(spider_grammar.parse(sql, database.names))
    except spider_grammar.UnparsableQuery:
        return "unreadable"


def problem(
    name: str, question: str, sql: str, database: Database, options: SpiderOptions, group: str | None = None
) -> Problem:
    """A problem of Spider's kind: bag semantics, exact set match, hardness as its group, its database as cluster."""
    check = Query(
        sql=sql,
        database=database.name,
        folders=database.folders,
        files=database.files,
        tables=database.names,
        rules=options.rules(database.names),
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


def gold_queries(file: str, benchmark: str, source: Source, databases: Sequence[str]) -> list[str]:
    """The gold queries of a file in the official evaluator's form, a line `QUERY<tab>DATABASE` each; empty lines part
    interactions. `databases`: those of the questions, in order. Raises DataError where the two do not fit.
    """
    path = source.find(DataFile(benchmark, file))
    if path is None:
        path = Path(file).expanduser()
        path = path if path.is_file() else source.locate(DataFile(benchmark, file))
    blob = read(path)
    source.note(f"{benchmark}/{path.name}", hashlib.sha256(blob).hexdigest())
    rows = [(place, line.strip().split("\t")) for place, line in lines(decode(blob, path)) if line.strip()]
    if len(rows) != len(databases):
        raise DataError(
            f"{path}: {len(rows)} gold queries for {len(databases)} questions: expected a line for each, in their order"
        )
    for (place, row), database in zip(rows, databases, strict=True):
        if len(row) != 2 or row[1].strip() != database:
            raise DataError(
                f"{path}:{place}: expected QUERY<tab>{database}, which its question is about, got"
                f" {' '.join(row[1:]) or 'no database'!r}"
            )
    return [row[0].strip() for _, row in rows]


def warned(problems: Iterable[Problem]) -> Iterator[Problem]:
    """The problems; at their end warnings name the gold queries that fail through no fault of an answer."""
    lacking: dict[str, list[str]] = {}
    filled: list[str] = []
    try:
        for one in problems:
            if isinstance(one.check, Query) and reads_absent(one.check):
                absent = ", ".join(one.check.tables.absent)
                lacking.setdefault(f"{one.check.database} lacks {absent}", []).append(one.id)
            elif isinstance(one.check, Query) and one.check.compare == "bag":
                filled += (
                    [one.id] if query_text.fill_value(one.solution, one.check.rules) != one.solution else []
                )
            yield one
    finally:
        for what, names in lacking.items():
            LOG.warning(
                "database %s, so that %d of its questions cannot be judged by execution: %s",
                what, len(names), ", ".join(names),
            )  # fmt: skip
        if filled:
            LOG.warning(
                "%d of the gold queries say `value`, which is read as 1 in answers, as the official evaluator does"
                " (options.fill_value=never leaves it as written): %s",
                len(filled), ", ".join(filled),
            )  # fmt: skip


def question_loader(
    benchmarks: tuple[str, ...], files: Mapping[str, DataFile], tables: DataFile, options: SpiderOptions
) -> Load:
    """Loads Spider's rows for the first of `benchmarks`; the databases are looked for in the folder of each."""

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split not in files:
            return ()
        return warned(problems(split, source)) if split == "test" else problems(split, source)

    def problems(split: Split, source: Source) -> Iterator[Problem]:
        databases = Databases(source, benchmarks, tables, "database/", options.databases)
        rows = list(source.rows(files[split], ("db_id", "question", "query")))
        if options.gold and split == "test":
            gold = gold_queries(options.gold, benchmarks[0], source, [row["db_id"] for row in rows])
            rows = [{**row, "query": sql} for row, sql in zip(rows, gold, strict=True)]
        for place, row in sample_rows(rows, options.sample, options.sample_seed):
            name = f"{benchmarks[0]}/{SPLIT_NAMES[split]}/{place}"
            yield problem(name, row["question"], row["query"], databases[row["db_id"]], options)

    return load


# ---------------------------------------------------------------- conversations


@dataclass(frozen=True)
class ConversationTurn:
    """One question of a conversation; `number` from 0, `earlier`: what was asked before it, oldest first."""

    interaction: int
    number: int
    question: str
    earlier: tuple[str, ...]
    sql: str
    database: str

    def problem(self, prefix: str, database: Database, options: ConversationOptions) -> Problem:
        lines = [f"Asked before: {each}" for each in self.earlier]
        turn = f"turn {self.number + 1}" if self.number < 4 else "turn > 4"
        return problem(
            f"{prefix}/{self.interaction}/{self.number}",
            "\n".join([*lines, self.question]),
            self.sql,
            database,
            options,
            turn if options.group == "turn" else None,
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
    options: ConversationOptions,
) -> Load:
    """Loads the turns of SParC's rows as `question_loader` does Spider's; `sample` counts interactions."""

    def load(split: Split, source: Source) -> Iterable[Problem]:
        if split not in files:
            return ()
        return warned(problems(split, source)) if split == "test" else problems(split, source)

    def problems(split: Split, source: Source) -> Iterator[Problem]:
        databases = Databases(source, benchmarks, tables, "database/", options.databases)
        rows = list(source.rows(_locate_rows(files[split], source), ("database_id", "interaction")))
        turns = list(conversation_turns(enumerate(rows)))
        if options.gold and split == "test":
            gold = gold_queries(options.gold, benchmarks[0], source, [turn.database for turn in turns])
            turns = [replace(turn, sql=sql) for turn, sql in zip(turns, gold, strict=True)]
        drawn = {place for place, _ in sample_rows(rows, options.sample, options.sample_seed)}
        for turn in turns:
            if turn.interaction in drawn:
                prefix = f"{benchmarks[0]}/{SPLIT_NAMES[split]}"
                yield turn.problem(prefix, databases[turn.database], options)

    return load


def _locate_rows(file: DataFile, source: Source) -> DataFile:
    """Where upstream has it, or next to tables.json, where people put it."""
    neighbour = DataFile(file.benchmark, Path(file.name).name)
    return neighbour if source.find(file) is None and source.find(neighbour) is not None else file
