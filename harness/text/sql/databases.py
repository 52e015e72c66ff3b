"""A benchmark's databases: found by name, built from an SQL script, described for the parser and for prompts.

Upstream's layout is kept: FOLDER/<name>/<name>.sqlite, further *.sqlite files beside it being its test suite,
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

from harness.errors import DataError
from harness.schema import DatabaseFile, DataFile, Source, TableNames
from harness.text.sql import db_variants
from harness.text.sql.tables import Table, from_tables_json, names_in, parts, tied_columns


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


def find(source: Source, benchmarks: Sequence[str], inside: str, name: str) -> tuple[DatabaseFile, ...]:
    """The files of database `name`, its own first, from the first benchmark that has it. Raises DataError."""
    for benchmark in benchmarks:
        for ending in ("sqlite", "sql"):
            path = source.find(DataFile(benchmark, f"{inside}{name}/{name}.{ending}"))
            if path is not None:
                return tuple(_noted(source, benchmark, each) for each in _with_suite(path))
    try:
        source.locate(DataFile(benchmarks[0], f"{inside}{name}/{name}.sqlite"))
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
            return (_noted(source, benchmark, path),)
    try:
        source.locate(DataFile(benchmark, f"{name}.db"))
    except DataError as error:
        raise DataError(f"{error}; --set options.execute=false does without it") from None
    raise AssertionError("found after all")


def _with_suite(path: Path) -> list[Path]:
    others = sorted(each for each in path.parent.glob("*.sqlite") if each != path)
    return [path, *others]


def _noted(source: Source, benchmark: str, path: Path) -> DatabaseFile:
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
def _workshop() -> tempfile.TemporaryDirectory[str]:
    """Where scripts are built; removed when the process ends."""
    folder = tempfile.TemporaryDirectory(prefix="harness-databases-")
    Path(folder.name).chmod(0o755)  # the engine may run under another identity
    return folder


@cache
def build(script: Path) -> Path:
    """The SQLite file that a script makes, built once a process. Raises DataError with the script's place."""
    # All below one folder: an engine is shown folders when it starts.
    folder = Path(_workshop().name) / "built" / hashlib.sha256(str(script).encode()).hexdigest()[:12]
    folder.mkdir(parents=True)
    path = folder / f"{script.stem}.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        for setting in db_variants.QUICK:
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


def folders_of(files: Sequence[DatabaseFile]) -> tuple[str, ...]:
    """The folders that an engine has to see for these files: those that hold the databases' own folders."""
    return tuple(dict.fromkeys(str(Path(file.path).parent.parent) for file in files))


@cache
def variant(original: DatabaseFile, tables: tuple[Table, ...], number: int, seed: int) -> DatabaseFile:
    """Variant `number` of a database, made once a process (augment.py). Raises DataError."""
    sha = hashlib.sha256(f"{original.sha256} variant {number} seed {seed}".encode()).hexdigest()
    path = Path(_workshop().name) / "variants" / sha[:16] / f"variant_{number}.sqlite"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db_variants.variant(Path(original.path), path, tables, int(sha[:12], 16))
        except sqlite3.Error as error:
            path.unlink(missing_ok=True)
            raise DataError(f"{original.path}: no variant of it can be made: {error}") from None
    return DatabaseFile(path=str(path), sha256=sha)


# ---------------------------------------------------------------- all of a benchmark


@dataclass(frozen=True)
class Content:
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

    `benchmarks`: whose folders are looked into, in order (SParC's databases are Spider's). `inside`: the folder
    of databases below a benchmark's, with a slash.
    """

    def __init__(
        self,
        source: Source,
        benchmarks: Sequence[str],
        tables: DataFile,
        inside: str,
        content: Content,
    ) -> None:
        self.source = source
        self.benchmarks = benchmarks
        self.inside = inside
        self.content = content
        others = [DataFile(each, tables.name) for each in benchmarks]
        place = next((each for each in [tables, *others] if source.find(each) is not None), tables)
        self.rows = {row["db_id"]: row for row in source.rows(place, FIELDS)}
        self.place = f"{place.benchmark}/{place.name}"
        self.made: dict[str, Database] = {}

    def __getitem__(self, name: str) -> Database:
        if name not in self.made:
            self.made[name] = self._make(name)
        return self.made[name]

    def _make(self, name: str) -> Database:
        if name not in self.rows:
            raise DataError(f"{self.place}: no database {name!r}, which a question is about")
        row = self.rows[name]
        tables = from_tables_json(row)
        content = self.content
        files = find(self.source, self.benchmarks, self.inside, name) if content.execute else ()
        if files:
            seed = content.variant_seed
            files += tuple(variant(files[0], tables, number, seed) for number in range(content.variants))
        columns = names_in(files[0].path) if files else {t.name.lower(): _lower(t.columns) for t in tables}
        return Database(
            name=name,
            tables=tables,
            names=TableNames(columns=columns, keys=tied_columns(row)),
            folders=folders_of(files),
            files=files,
            parts=parts(tables, files),
        )


def _lower(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
