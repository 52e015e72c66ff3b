"""A database's tables: read from tables.json or the file, shown in prompts, named for Spider's grammar."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from harness.errors import DataError
from harness.schema import DatabaseFile

SAMPLE_ROWS = 3
MAX_CELL_CHARS = 60  # characters of a sample value


@dataclass(frozen=True)
class Table:
    """Names as upstream spells them; `foreign_keys`: (column, other table, its column)."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    primary_key: tuple[str, ...] = ()
    foreign_keys: tuple[tuple[str, str, str], ...] = ()


def from_tables_json(row: Mapping[str, Any]) -> tuple[Table, ...]:
    """The tables of one entry of Spider's (and BIRD's) tables.json."""
    columns = row["column_names_original"]
    tables = row["table_names_original"]
    keys = {key for each in row["primary_keys"] for key in (each if isinstance(each, list) else [each])}
    found = []
    for number, name in enumerate(tables):
        own = [i for i, (table, _) in enumerate(columns) if table == number]
        found.append(
            Table(
                name=name,
                columns=tuple(columns[i][1] for i in own),
                types=tuple(row["column_types"][i] for i in own),
                primary_key=tuple(columns[i][1] for i in own if i in keys),
                foreign_keys=tuple(
                    (columns[i][1], tables[columns[j][0]], columns[j][1])
                    for i, j in row["foreign_keys"]
                    if i in own
                ),
            )
        )
    return tuple(found)


def foreign_key_groups(row: Mapping[str, Any]) -> dict[str, str]:
    """Column -> the first of the columns that foreign keys tie it to ("table.column", lower case).

    Groups are made as the official evaluator makes them: a key joins the first group that knows one of its two
    columns, and two groups that a later key connects stay two.
    """
    tables = row["table_names_original"]
    groups: list[set[int]] = []
    for one, other in row["foreign_keys"]:
        group = next((group for group in groups if one in group or other in group), None)
        if group is None:
            groups.append(group := set())
        group |= {one, other}

    def name(i: int) -> str:
        table, column = row["column_names_original"][i]
        return f"{tables[table]}.{column}".lower()

    return {name(i): name(min(group)) for group in groups for i in sorted(group)}


def columns_by_table(path: str) -> dict[str, tuple[str, ...]]:
    """Table -> columns, lower case, as the file itself has them: what the official evaluator reads."""
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            table.lower(): tuple(
                column.lower()
                for (column,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
            )
            for (table,) in tables
        }


def from_file(path: str) -> tuple[Table, ...]:
    """The tables as the file itself describes them."""
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as connection:

        def rows(what: str, *given: str) -> list[tuple[Any, ...]]:
            return connection.execute(what, given).fetchall()

        return tuple(
            Table(
                name=name,
                columns=tuple(column for column, _, _ in columns),
                types=tuple(kind for _, kind, _ in columns),
                primary_key=tuple(column for column, _, place in columns if place),
                foreign_keys=tuple(
                    (column, other, its or column)
                    for other, column, its in rows(
                        'SELECT "table", "from", "to" FROM pragma_foreign_key_list(?)', name
                    )
                ),
            )
            for (name,) in rows(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
            for columns in [rows("SELECT name, type, pk FROM pragma_table_info(?)", name)]
        )


def schema_line(tables: Iterable[Table]) -> str:
    """The schema line of 2311.02303, Table 7: table(col|col|...), tables parted by commas."""
    return ",".join(f"{table.name}({'|'.join(table.columns)})" for table in tables)


def create_statement(table: Table) -> str:
    """A CREATE TABLE statement with primary and foreign keys."""
    parts = [f"  {_quoted(c)} {t}" for c, t in zip(table.columns, table.types, strict=True)]
    if table.primary_key:
        parts.append(f"  PRIMARY KEY ({', '.join(map(_quoted, table.primary_key))})")
    for column, other, its in table.foreign_keys:
        parts.append(f"  FOREIGN KEY ({_quoted(column)}) REFERENCES {_quoted(other)}({_quoted(its)})")
    return f"CREATE TABLE {_quoted(table.name)} (\n" + ",\n".join(parts) + "\n);"


def _quoted(name: str) -> str:
    return name if name.isidentifier() else '"' + name.replace('"', '""') + '"'


def _sample(connection: sqlite3.Connection, table: Table) -> str:
    rows = connection.execute(f'SELECT * FROM "{table.name}" LIMIT {SAMPLE_ROWS}')
    lines = ["\t".join(each[0] for each in rows.description)]
    lines += ["\t".join(str(value)[:MAX_CELL_CHARS] for value in row) for row in rows]
    return f"/*\n{len(lines) - 1} rows of {table.name}:\n" + "\n".join(lines) + "\n*/"


def prompt_parts_of_header(name: str, header: Sequence[str], types: Sequence[str]) -> dict[str, str]:
    """The parts for a single table of which only the header is known."""
    return prompt_parts((Table(name, tuple(header), tuple(types)),), ())


def prompt_parts(tables: Sequence[Table], files: Sequence[DatabaseFile]) -> dict[str, str]:
    """What a prompt may show: {tables} one line, {create} statements, {rows} statements and sample rows.

    Without the file there are no rows, and {rows} is {create}.
    """
    statements = [create_statement(table) for table in tables]
    with_rows = statements
    if files:
        with closing(
            sqlite3.connect(f"file:{quote(files[0].path)}?mode=ro&immutable=1", uri=True)
        ) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            there = columns_by_table(files[0].path)
            try:
                with_rows = [
                    f"{text}\n{_sample(connection, table)}" if table.name.lower() in there else text
                    for text, table in zip(statements, tables, strict=True)
                ]
            except sqlite3.Error as error:
                raise DataError(f"{files[0].path}: {error}, but tables.json says so") from None
    return {"tables": schema_line(tables), "create": "\n".join(statements), "rows": "\n".join(with_rows)}
