"""A benchmark's databases: found by name, built from an SQL script, described for the parser and for prompts.

Upstream's layout is kept: FOLDER/<name>/<name>.sqlite, further *.sqlite files next to it being its test suite,
and tables.json with the names and keys of all. In place of a database there may be a script <name>.sql: it is
run into a temporary folder at first use. Databases are the benchmark's own and are trusted, queries are not.
"""

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

from harness.errors import DataError
from harness.schema import DatabaseFile, DataFile, Query, Source, TableNames
from harness.text.sql import db_variants
from harness.text.sql.tables import (
    Table,
    columns_by_table,
    foreign_key_groups,
    from_tables_json,
    prompt_parts,
)


@dataclass(frozen=True)
class Database:
    """What a problem needs of its database. No `files` where nothing is executed."""

    name: str
    tables: tuple[Table, ...]
    names: TableNames
    folders: tuple[str, ...] = ()
    files: tuple[DatabaseFile, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)


# ---------------------------------------------------------------- finding


def find_database(
    source: Source, benchmarks: Sequence[str], subfolder: str, name: str
) -> tuple[DatabaseFile, ...]:
    """The files of database `name`, its own first, from the first benchmark that has it. Raises DataError."""
    for benchmark in benchmarks:
        for ending in ("sqlite", "sql"):
            path = source.find(DataFile(benchmark, f"{subfolder}{name}/{name}.{ending}"))
            if path is not None:
                return tuple(_recorded(source, benchmark, each) for each in _with_suite(path))
    try:
        source.locate(DataFile(benchmarks[0], f"{subfolder}{name}/{name}.sqlite"))
    except DataError as error:
        raise DataError(
            f"{error}; without databases, --set options.execute=false scores the queries' text alone"
        ) from None
    raise AssertionError("found after all")


def find_file(source: Source, benchmark: str, name: str) -> tuple[DatabaseFile, ...]:
    """The one database NAME.db of a benchmark, or the one that NAME.sql makes. Raises DataError."""
    for ending in ("db", "sql"):
        path = source.find(DataFile(benchmark, f"{name}.{ending}"))
        if path is not None:
            return (_recorded(source, benchmark, path),)
    try:
        source.locate(DataFile(benchmark, f"{name}.db"))
    except DataError as error:
        raise DataError(f"{error}; --set options.execute=false does without it") from None
    raise AssertionError("found after all")


def named_file(source: Source, file: DataFile) -> DatabaseFile:
    """A database by its file, NAME.sqlite or .db, or the one that NAME.sql makes. Raises DataError."""
    return _recorded(source, file.benchmark, source.locate(file))


def _with_suite(path: Path) -> list[Path]:
    others = sorted(each for each in path.parent.glob("*.sqlite") if each != path)
    return [path, *others]


def _recorded(source: Source, benchmark: str, path: Path) -> DatabaseFile:
    sha = _digest(path, path.stat().st_mtime_ns)
    source.note(f"{benchmark}/{path.parent.name}/{path.name}", sha)
    return DatabaseFile(path=str(build(path) if path.suffix == ".sql" else path.resolve()), sha256=sha)


@cache
def _digest(path: Path, changed: int) -> str:
    del changed
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


@cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Where scripts are built; removed when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="harness-databases-")
    Path(folder.name).chmod(0o755)  # the SQL worker may run under another identity
    return folder


def reads_absent(query: Query) -> bool:
    """Whether the gold query reads a table that the database should have and lacks: SQLite's own word for it."""
    if not query.tables.absent or not query.files:
        return False
    uri = f"file:{quote(query.files[0].path)}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        try:
            connection.execute(f"EXPLAIN {query.sql}")
        except sqlite3.Error as error:
            return str(error).lower() in {f"no such table: {table}" for table in query.tables.absent}
    return False


@cache
def build(script: Path) -> Path:
    """The SQLite file that a script makes, built once a process. Raises DataError with the script's place."""
    # All below one folder: a SQL worker is shown folders when it starts.
    folder = Path(_temporary_folder().name) / "built" / hashlib.sha256(str(script).encode()).hexdigest()[:12]
    folder.mkdir(parents=True)
    path = folder / f"{script.stem}.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        for setting in db_variants.FAST_PRAGMAS:
            connection.execute(f"PRAGMA {setting}")
        try:
            connection.executescript(script.read_text(encoding="utf-8"))
            wrong = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.Error as error:
            raise DataError(f"{script}: {error}") from None
        connection.commit()
    if wrong:
        table, row, other, _ = wrong[0]
        raise DataError(f"{script}: row {row} of {table} refers to a row of {other} that is not there")
    return path


def mounted_folders(files: Sequence[DatabaseFile]) -> tuple[str, ...]:
    """The folders that a SQL worker has to see for these files: those that hold the databases' own folders."""
    return tuple(dict.fromkeys(str(Path(file.path).parent.parent) for file in files))


@cache
def make_variant(original: DatabaseFile, tables: tuple[Table, ...], number: int, seed: int) -> DatabaseFile:
    """Variant `number` of a database, made once a process (db_variants.py). Raises DataError."""
    sha = hashlib.sha256(f"{original.sha256} variant {number} seed {seed}".encode()).hexdigest()
    path = Path(_temporary_folder().name) / "variants" / sha[:16] / f"variant_{number}.sqlite"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db_variants.write_variant(Path(original.path), path, tables, int(sha[:12], 16))
        except sqlite3.Error as error:
            path.unlink(missing_ok=True)
            raise DataError(f"{original.path}: no variant of it can be made: {error}") from None
    return DatabaseFile(path=str(path), sha256=sha)


# ---------------------------------------------------------------- all of a benchmark


@dataclass(frozen=True)
class DatabaseOptions:
    """What is asked of the databases' rows: whether they are needed at all, and how many variants of each."""

    execute: bool = True
    variants: int = 0
    variant_seed: int = 0


FIELDS = (
    "db_id",
    "table_names_original",
    "column_names_original",
    "column_types",
    "primary_keys",
    "foreign_keys",
)


class Databases:
    """The databases that a tables.json names, each found and described when a problem first asks for it.

    `benchmarks`: whose folders are looked into, in order (SParC's databases are Spider's). `subfolder`: the
    folder of databases below a benchmark's, with a slash.
    """

    def __init__(
        self,
        source: Source,
        benchmarks: Sequence[str],
        tables: DataFile,
        subfolder: str,
        options: DatabaseOptions,
    ) -> None:
        self.source = source
        self.benchmarks = benchmarks
        self.subfolder = subfolder
        self.options = options
        others = [DataFile(each, tables.name) for each in benchmarks]
        place = next((each for each in [tables, *others] if source.find(each) is not None), tables)
        self.rows = {row["db_id"]: row for row in source.rows(place, FIELDS)}
        self.place = f"{place.benchmark}/{place.name}"
        self.cache: dict[str, Database] = {}

    def __getitem__(self, name: str) -> Database:
        if name not in self.cache:
            self.cache[name] = self._make(name)
        return self.cache[name]

    def _make(self, name: str) -> Database:
        if name not in self.rows:
            raise DataError(f"{self.place}: no database {name!r}, which a question is about")
        row = self.rows[name]
        tables = from_tables_json(row)
        options = self.options
        files = find_database(self.source, self.benchmarks, self.subfolder, name) if options.execute else ()
        if files:
            seed = options.variant_seed
            variants = [make_variant(files[0], tables, number, seed) for number in range(options.variants)]
            for each in variants:
                self.source.note(f"{self.benchmarks[0]}/{name}/{Path(each.path).name}", each.sha256)
            files += tuple(variants)
        named = {table.name.lower(): _lower(table.columns) for table in tables}
        columns = columns_by_table(files[0].path) if files else named
        absent = tuple(table for table in named if table not in columns)
        if len(absent) == len(named):
            raise DataError(
                f"{files[0].path}: it has none of the tables that {self.place} names for {name!r}"
            )
        columns |= {table: named[table] for table in absent}
        return Database(
            name=name,
            tables=tables,
            names=TableNames(columns=columns, keys=foreign_key_groups(row), absent=absent),
            folders=mounted_folders(files),
            files=files,
            parts=prompt_parts(tables, files),
        )


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
