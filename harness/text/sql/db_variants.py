"""Variants of a database with the same tables and other rows, to detect queries that are right by chance.

On one database a wrong query often gives the right rows (Zhong et al. 2020: single-database accuracy over-counts).
A variant keeps what the schema demands: types, keys, NOT NULL, UNIQUE, CHECK and foreign keys, the declared ones and
those of tables.json. Its rows are drawn from what the database holds: values column by column, so that rows
combine what never stood together; columns whose values are all different stay so, to make no ties; some numbers are
changed. Equal seeds give equal variants. This is not the distilled suite of the paper, which is made with
queries in view; a suite of that kind is used as it is when it lies next to the database.
"""

import random
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.text.sql.tables import Table

_KEYS = 'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)'
MAX_ROWS = 2000  # of a table that are looked at, and half as many again at most in a variant
MIN_ROW_SHARE, MAX_ROW_SHARE = 0.5, 1.5  # rows of a variant's table, as a share of the database's
CHANGED_SHARE = 0.2  # share of values that are changed and not only drawn
FAST_PRAGMAS = (
    "journal_mode=OFF",
    "synchronous=OFF",
)  # a file that is made anew needs no protection from a crash
Row = list[Any]


@dataclass(frozen=True)
class TableContent:
    """One table as the database has it. `unique`: places of columns whose values are all different;
    `foreign_keys`: place of a column -> the table and column it refers to, lower case."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]
    unique: frozenset[int]
    foreign_keys: Mapping[int, tuple[str, str]]


def write_variant(original: Path, target: Path, tables: Sequence[Table], seed: int) -> None:
    """Write one variant of the database to `target`, which must not exist. Raises sqlite3.Error."""
    rng = random.Random(seed)
    uri = f"file:{quote(str(original))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(uri, uri=True)) as source, closing(sqlite3.connect(target)) as made:
        source.text_factory = lambda raw: raw.decode(errors="ignore")
        statements = source.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
            " AND type IN ('table', 'index', 'view') ORDER BY type = 'view', type = 'index', rowid"
        ).fetchall()
        contents = _contents(source, tables)
        for setting in FAST_PRAGMAS:
            made.execute(f"PRAGMA {setting}")
        for _, sql in statements:
            made.execute(sql)
        drawn: dict[tuple[str, str], list[Any]] = {}  # (table, column) -> values that children may refer to
        for content in _parents_first(contents):
            _fill(made, content, drawn, rng)
        _without_orphans(made, contents)
        made.commit()


def _contents(source: sqlite3.Connection, tables: Sequence[Table]) -> list[TableContent]:
    given = {
        (table.name.lower(), column.lower()): (other.lower(), its.lower())
        for table in tables
        for column, other, its in table.foreign_keys
    }
    names = [
        name
        for (name,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]
    found = []
    for name in names:
        info = source.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
        columns = tuple(column for column, _ in info)
        declared = {
            (name.lower(), column.lower()): (table.lower(), (to or column).lower())
            for table, column, to in source.execute(_KEYS, (name,))
        }
        refers = {
            place: target
            for place, column in enumerate(columns)
            if (target := (given | declared).get((name.lower(), column.lower()))) is not None
        }
        rows = [list(row) for row in source.execute(f'SELECT * FROM "{name}" LIMIT {MAX_ROWS}')]
        keys = [place for place, (_, pk) in enumerate(info) if pk]
        different = {
            place
            for place in range(len(columns))
            if place not in refers and _all_different([row[place] for row in rows])
        }
        found.append(
            TableContent(
                name, columns, rows, frozenset(different | (set(keys) if len(keys) == 1 else set())), refers
            )
        )
    return found


def _all_different(values: Sequence[Any]) -> bool:
    return len(values) > 1 and None not in values and len(set(values)) == len(values)


def _parents_first(contents: Sequence[TableContent]) -> list[TableContent]:
    """In an order in which tables come after those they refer to, as far as there are no circles."""
    waiting, done, order = list(contents), set[str](), list[TableContent]()
    while waiting:
        ready = [
            content
            for content in waiting
            if {table for table, _ in content.foreign_keys.values()} - {content.name.lower()} <= done
        ] or waiting[:1]
        order += ready
        done |= {content.name.lower() for content in ready}
        waiting = [content for content in waiting if content not in ready]
    return order


def _fill(
    made: sqlite3.Connection,
    content: TableContent,
    drawn: dict[tuple[str, str], list[Any]],
    rng: random.Random,
) -> None:
    name = content.name.lower()
    count = len(content.rows)
    if count:
        count = max(1, round(count * rng.uniform(MIN_ROW_SHARE, MAX_ROW_SHARE)))
    columns = [
        _column(content, place, count, drawn.get(content.foreign_keys.get(place, ("", "")), []), rng)
        for place in range(len(content.columns))
    ]
    places = ", ".join("?" * len(columns))
    for row in zip(*columns, strict=True):
        # What a constraint forbids is left out.
        made.execute(f'INSERT OR IGNORE INTO "{content.name}" VALUES ({places})', row)
    for column in content.columns:
        values = made.execute(
            f'SELECT DISTINCT "{column}" FROM "{content.name}" WHERE "{column}" IS NOT NULL'
        )
        drawn[(name, column.lower())] = [value for (value,) in values]


def _column(
    content: TableContent, place: int, count: int, targets: list[Any], rng: random.Random
) -> list[Any]:
    """`count` values for one column."""
    held = [row[place] for row in content.rows]
    if place in content.foreign_keys:
        if not targets:  # a circle, or a parent without rows: orphans are taken out at the end
            return [rng.choice(held) for _ in range(count)]
        return [None if rng.choice(held) is None else rng.choice(targets) for _ in range(count)]
    if place in content.unique:
        rng.shuffle(held)
        return (held + _more_values(held, count - len(held)))[:count]
    return [_perturbed(rng.choice(held), held, rng) for _ in range(count)]


def _more_values(held: Sequence[Any], count: int) -> list[Any]:
    """More values unlike those there are: numbers continue, texts get a number appended."""
    if count <= 0:
        return []
    if all(isinstance(value, int) for value in held):
        return list(range(max(held) + 1, max(held) + 1 + count))
    if all(isinstance(value, int | float) for value in held):
        return [max(held) + 0.5 + i for i in range(count)]
    return [f"{held[i % len(held)]} {i + 2}" for i in range(count)]


def _perturbed(value: Any, held: Sequence[Any], rng: random.Random) -> Any:
    """Mostly the value itself; a number may move by one, or half way to another that there is."""
    if rng.random() > CHANGED_SHARE or isinstance(value, bool | bytes) or value is None:
        return value
    if isinstance(value, int):
        return value + rng.choice((-1, 1)) if value > 1 else value
    if isinstance(value, float):
        other = rng.choice(held)
        return round((value + other) / 2, 2) if isinstance(other, int | float) else value
    return value


def _without_orphans(made: sqlite3.Connection, contents: Sequence[TableContent]) -> None:
    """Delete rows that refer to nothing, until none do."""
    clauses = [
        (
            content.name,
            f'"{content.columns[place]}" IS NOT NULL AND "{content.columns[place]}" NOT IN'
            f' (SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL)',
        )
        for content in contents
        for place, (table, column) in content.foreign_keys.items()
        if any(other.name.lower() == table and column in map(str.lower, other.columns) for other in contents)
    ]
    while True:
        before = made.total_changes
        for name, clause in clauses:
            made.execute(f'DELETE FROM "{name}" WHERE {clause}')
        if made.total_changes == before:
            return
