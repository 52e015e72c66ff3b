"""The checks that a row of a TOML task can have, and how each is made of the row's fields.

unit_tests   tests (a text, or a list of them), entry_point; setup
reference    references (a text, or a list of them)
query        sql, and what names the SQLite file, or the SQL script that makes it (`database` of the task)
io_cases     inputs and outputs: lists of texts (or their JSON), what is read and what has to be printed
"""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from harness.errors import DataError, unknown
from harness.schema import (
    Check,
    IOCase,
    IOCases,
    Limits,
    Query,
    Reference,
    UnitTests,
    Value,
)

Kind = Literal["unit_tests", "reference", "query", "io_cases"]
PATTERN = re.compile(r"\{(\w+)\}")


class FieldNames(Value):
    """What each part of a problem is in the row: a field's name, or a text with names of fields in braces.

    One that is not given is the field of the same name, where the rows have it. `split`: only rows in which it is the
    name of the split asked for belong to that.
    """

    id: str = ""
    question: str = ""
    solution: str = ""
    group: str = ""
    cluster: str = ""
    split: str = ""
    tests: str = ""
    entry_point: str = ""
    setup: str = ""
    references: str = ""
    sql: str = ""
    inputs: str = ""
    outputs: str = ""


class TaskRow:
    """One row, with the fields that all have; what is missing or of another type is told with file and line."""

    def __init__(
        self, plain: Mapping[str, Any], same: Mapping[str, Any], fields: FieldNames, place: str
    ) -> None:
        self.values, self.fields, self.place = {**plain, **same}, fields, place

    def has(self, part: str) -> bool:
        """Whether the part is there: named in [fields], or a field of its own name that is not empty."""
        return bool(getattr(self.fields, part)) or self.values.get(part) is not None

    def raw(self, part: str) -> Any:
        """The field's value, or the pattern filled. Raises DataError."""
        named = getattr(self.fields, part) or part
        if PATTERN.search(named):
            return self.filled(named, f"fields.{part}")
        if named not in self.values:
            said = f"fields.{part}: " if getattr(self.fields, part) else f"{part}: "
            more = "" if getattr(self.fields, part) else f" Say which field it is: [fields] {part} = 'NAME'"
            raise DataError(f"{self.place}: {said}{unknown('field', named, self.values)}{more}")
        return self.values[named]

    def text(self, part: str, default: str | None = None) -> str:
        if default is not None and not self.has(part):
            return default
        value = self.raw(part)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return "\n".join(value)
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise DataError(f"{self.place}: {part}: expected a text, got {_kind(value)}")
        return str(value)

    def texts(self, part: str) -> tuple[str, ...]:
        """A text, or a list of texts."""
        value = self.raw(part)
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
            raise DataError(f"{self.place}: {part}: expected a text or a list of texts, got {_kind(value)}")
        return tuple(found)

    def list_of_texts(self, part: str) -> tuple[str, ...]:
        """A list, or the JSON of one: what a cell of a CSV file can hold."""
        value = self.raw(part)
        if isinstance(value, str) and value.lstrip()[:1] == "[":
            with suppress(json.JSONDecodeError):
                value = json.loads(value)
        if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
            raise DataError(f"{self.place}: {part}: expected a list of texts, one a case, got {_kind(value)}")
        return tuple(value)

    def filled(self, pattern: str, where: str) -> str:
        for word in PATTERN.findall(pattern):
            if word not in self.values:
                raise DataError(f"{self.place}: {where}: {unknown('field', word, self.values)}")
        return PATTERN.sub(lambda at: self.value_as_text(at.group(1)), pattern)

    def value_as_text(self, name: str) -> str:
        value = self.values[name]
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return "\n".join(value)
        return value if isinstance(value, str) else "" if value is None else json.dumps(value)

    def path(self, pattern: str) -> str:
        """A file's name below the data folder; rows may come from anybody, so it leads nowhere else."""
        name = self.filled(pattern, "database")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise DataError(f"{self.place}: database: {name!r} leads out of the task's folder")
        return name


# ---------------------------------------------------------------- the checks


@dataclass(frozen=True)
class RowCheck:
    """How a row becomes a check of one kind, and what judges and reads answers unless the file says otherwise."""

    make: Callable[[TaskRow, Limits | None], Check]
    scorers: tuple[str, ...]
    extract: str


def _unit_tests(row: TaskRow, limits: Limits | None) -> UnitTests:
    code, setup = row.text("tests"), row.text("setup", "")
    name = row.text("entry_point")
    if not name.isidentifier():
        raise DataError(f"{row.place}: entry_point: {name!r} is no name of a function or class")
    return UnitTests(code=code, entry_point=name, setup=setup, limits=limits or Limits())


def _reference(row: TaskRow, limits: Limits | None) -> Reference:
    del limits
    return Reference(texts=row.texts("references" if row.has("references") else "solution"))


def _query(row: TaskRow, limits: Limits | None) -> Query:
    """Without its database, which the task finds."""
    query = Query(sql=row.text("sql" if row.has("sql") else "solution"), database="")
    return query.model_copy(update={"cpu_s": limits.cpu_s}) if limits else query


def _io_cases(row: TaskRow, limits: Limits | None) -> IOCases:
    given, expected = row.list_of_texts("inputs"), row.list_of_texts("outputs")
    if len(given) != len(expected):
        raise DataError(
            f"{row.place}: {len(given)} inputs and {len(expected)} outputs: expected one of each a case"
        )
    cases = tuple(IOCase(given=one, expected=other) for one, other in zip(given, expected, strict=True))
    check = IOCases(cases=cases)
    return check.model_copy(update={"limits": limits}) if limits else check


CHECKS: Mapping[Kind, RowCheck] = {
    "unit_tests": RowCheck(_unit_tests, ("unit_tests",), "python_program"),
    "reference": RowCheck(_reference, ("exact", "bleu"), "first_code_block"),
    "query": RowCheck(_query, ("sql_execution",), "find_sql"),
    "io_cases": RowCheck(_io_cases, ("io_cases",), "whole_program"),
}
# Scorers that run answers, and the kind of check that each needs.
EXECUTING: Mapping[str, str] = {
    "unit_tests": "unit_tests",
    "io_cases": "io_cases",
    "sql_execution": "query",
    "ves": "query",
    "exact_set_match": "query",
    "set_match_clauses": "query",
    **dict.fromkeys(("assertions", "generated_tests", "lf_accuracy", "snippets", "symbolic"), "another"),
}


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
