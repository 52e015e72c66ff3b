"""A task as a TOML file, for rows of one's own and no Python: which file, which fields, how to ask, how to judge.

    check = "unit_tests"            # unit_tests, reference, query or io_cases (tasks/loading/row_checks.py)
    [rows]
    test = "rows.jsonl"             # beside this file, or in DIR/<name>/ of --data DIR
    train = "pool.jsonl"
    [fields]
    question = "prompt"             # a field of the row, or a text with fields in braces: "{text}\\n{hint}"
    [values]
    entry_point = "solve"           # a field that all rows have
    [[prompts]]
    question = "{question}"         # or any field of the row

It becomes a Task like any other. The digest of its text is part of a run's signature.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field

from harness import scorers
from harness.config.load import checked, read_toml
from harness.errors import ConfigError, DataError, unknown
from harness.schema import (
    Card,
    DataFile,
    Limits,
    Problem,
    Query,
    Reference,
    Sampling,
    Scorer,
    Source,
    Split,
    TableNames,
    Task,
    Template,
    Value,
)
from harness.tasks.loading.row_checks import CHECKS, EXECUTING, FieldNames, Kind, RowCheck, TaskRow
from harness.text.extract import Extractor, first_code_block, python_program, whole_program
from harness.text.sql import databases, tables
from harness.text.sql.query_text import find_sql

EXTRACTORS: Mapping[str, Extractor] = {
    found.__name__: found for found in (first_code_block, python_program, whole_program, find_sql)
}
PLACEHOLDER = re.compile(r"\{(\w+)\}")
OWN = ("question", "solution")  # what a prompt may name beside the fields of the row


class RowFiles(Value):
    """The file of each split's rows (JSON lines, a JSON list, CSV or parquet), or its name in the data set."""

    test: str = ""
    train: str = ""
    validation: str = ""


class TaskCard(Value):
    """What `harness tasks` says of it."""

    title: str = ""
    paper: str = ""
    licence: str = ""
    url: str = ""
    setting: str = ""
    languages: tuple[str, ...] = ("python",)
    tags: tuple[str, ...] = ()


class TomlTask(Value):
    """The content of the file. `database`: the SQLite file of a row, as a pattern of its fields. A limit that is not
    given is the check's own.
    """

    check: Kind
    rows: RowFiles
    name: str = Field(default="", pattern=r"^[\w.-]*$")
    version: int = Field(default=1, ge=1)
    fields: FieldNames = FieldNames()
    values: Mapping[str, str | int | float | bool] = {}
    prompts: tuple[Template, ...] = ()
    extract: str = ""
    scorers: tuple[str, ...] = ()
    sampling: Sampling = Sampling()
    limits: Limits | None = None
    packages: tuple[str, ...] = ()
    database: str = "{database}"
    card: TaskCard = TaskCard()


def is_task(path: str) -> bool:
    """Whether it is the path of a TOML file that says how rows are judged; a run's config names a task instead."""
    return path.endswith(".toml") and Path(path).is_file() and "check" in read_toml(Path(path))


def load_task(path: Path) -> Task:
    """The task that the file describes. Raises ConfigError in one line: the file, the key, what would be right."""
    if not path.is_file():
        raise ConfigError(f"no task file {str(path)!r}")
    said = checked(TomlTask, read_toml(path), str(path))
    name = said.name or path.stem
    files = {split: file for split, file in said.rows.model_dump().items() if file}
    if not files:
        raise ConfigError(f"{path}: rows names no file: expected for example test = 'rows.jsonl'")
    default = CHECKS[said.check]
    found = said.extract or default.extract
    if found not in EXTRACTORS:
        raise ConfigError(f"{path}: extract: {unknown('extractor', found, EXTRACTORS)}")
    if found == "python_program" and said.check != "unit_tests":
        raise ConfigError(
            f"{path}: extract = 'python_program' is for check = 'unit_tests', not {said.check!r}"
        )
    rows = _Rows(path, name, said, files, default)
    return Task(
        name=name,
        version=said.version,
        load=rows.load,
        templates=rows.templates,
        extract=EXTRACTORS[found],
        scorers=_scorers(path, said),
        sampling=said.sampling,
        packages=said.packages,
        card=Card(**said.card.model_dump(), sizes=dict.fromkeys(files, 0), files=tuple(rows.files.values())),
        source=f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()[:8]}",
    )


def _scorers(path: Path, said: TomlTask) -> tuple[Scorer, ...]:
    """Those named, by default the check's own. Raises ConfigError for one that runs other checks."""
    try:
        found = scorers.load_scorers(said.scorers or CHECKS[said.check].scorers)
    except ConfigError as error:
        raise ConfigError(f"{path}: scorers: {error}") from None
    for scorer in found:
        if EXECUTING.get(scorer.name, said.check) != said.check:
            raise ConfigError(
                f"{path}: scorers: {scorer.name!r} judges check = {EXECUTING[scorer.name]!r}, and here it is"
                f" {said.check!r}: expected {' or '.join(map(repr, CHECKS[said.check].scorers))}"
            )
    return found


class _Rows:
    """Reads the rows of one file's task and makes problems of them."""

    def __init__(
        self, path: Path, name: str, said: TomlTask, files: Mapping[str, str], check: RowCheck
    ) -> None:
        self.path, self.name, self.said, self.check = path, name, said, check
        self.beside = str(path.absolute().parent)
        self.files = {
            split: DataFile(name, file, beside=self.beside, split=split if "." in file else file)
            for split, file in files.items()
        }
        self.databases = dict[str, tuple[dict[str, object], dict[str, str]]]()
        given = said.prompts or (Template(name="plain"), Template(name="chat", style="chat"))
        self.templates = tuple(
            one.model_copy(update={"name": one.style}) if one.name == "config" else one for one in given
        )
        names = [one.name for one in self.templates]
        if len(set(names)) != len(names):
            raise ConfigError(f"{path}: prompts: two are called {max(names, key=names.count)!r}: name them")
        self.shown = {
            word: f"prompts: {one.name}"
            for one in self.templates
            for text in (one.question, one.answer, one.shot, one.prefill, one.suffix)
            for word in PLACEHOLDER.findall(text)
            if word not in OWN
        }

    def load(self, split: Split, source: Source) -> Iterator[Problem]:
        if split not in self.files:
            return
        for number, plain in enumerate(source.rows(self.files[split])):
            row = TaskRow(plain, self.said.values, self.said.fields, source.place)
            if not row.has("split") or row.text("split") == split:
                yield self.problem(f"{self.name}/{split}/{number}", row, source)

    def problem(self, default_id: str, row: TaskRow, source: Source) -> Problem:
        check = self.check.make(row, self.said.limits)
        solution, cluster, parts = "", "", dict[str, str]()
        if isinstance(check, Query):
            check, parts = self._on_database(check, row, source)
            solution, cluster = check.sql, check.database
        elif isinstance(check, Reference):
            solution = check.texts[0]
        return Problem(
            id=row.text("id", default_id),
            question=row.text("question"),
            solution=row.text("solution", solution),
            check=check,
            group=row.text("group", ""),
            cluster=row.text("cluster", cluster),
            parts={word: parts[word] if word in parts else self._part(word, row) for word in self.shown},
        )

    def _on_database(self, query: Query, row: TaskRow, source: Source) -> tuple[Query, dict[str, str]]:
        """The query with its database, and what a prompt may show of that: {tables}, {create}, {rows}."""
        name = row.path(self.said.database)
        if name not in self.databases:
            found = databases.named_file(source, DataFile(self.name, name, beside=self.beside))
            known = TableNames(columns=tables.columns_by_table(found.path))
            on = {
                "database": name,
                "folders": (str(Path(found.path).parent),),
                "files": (found,),
                "tables": known,
            }
            self.databases[name] = on, tables.prompt_parts(tables.from_file(found.path), (found,))
        on, parts = self.databases[name]
        return query.model_copy(update=on), parts

    def _part(self, word: str, row: TaskRow) -> str:
        if word not in row.values:
            raise DataError(
                f"{self.path}: {self.shown[word]}: {unknown('field', word, [*row.values, *OWN])} ({row.place})"
            )
        return row.value_as_text(word)
