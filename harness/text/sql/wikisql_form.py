"""WikiSQL's logical forms: read from an answer, compared, written as SQL (Zhong et al. 2017, lib/query.py).

A form selects one column, aggregated or not, from one table where all conditions hold. An answer may be the
form itself as JSON, which is the official prediction format, or SQL over the table's header; such SQL may name
a column as it stands in the header, without quotes. In the database the columns are called col0, col1, ... and
texts are in lower case, so an answer is rewritten before it is run.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.schema import LogicalForm

AGGREGATES = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<")
TABLE = "table"  # what prompts and answers call it

MAX_CHARS = 20_000
_SKETCH = re.compile(
    r"\s*select\s+(?P<column>.+?)\s+from\s+\S+?(?:\s+where\s+(?P<where>.+?))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_AGGREGATE = re.compile(r"(max|min|count|sum|avg)\s*\((.*)\)", re.IGNORECASE | re.DOTALL)
_AND = re.compile(r"((?:'(?:''|[^'])*'|\"[^\"]*\"|[^'\"])+?)(?:\s+and\s+|\Z)", re.IGNORECASE | re.DOTALL)
_CONDITION = re.compile(r"(\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|[^=<>]+?)\s*([=<>])\s*(.+)", re.DOTALL)
_TEXT = re.compile(r"'(?:''|[^'])*'")
_NUMBER = re.compile(r"[-+]?\d*\.\d+|\d+")

Raw = Mapping[str, Any]  # sel, agg and conds as an answer gave them, of whatever types


def parse_answer(answer: str, table: LogicalForm) -> Raw | None:
    """The form of an answer, over this table; None where it is no such form."""
    text = answer.strip()
    if text.startswith("{"):
        return _from_json(text)
    return _from_sql(text, table) if len(text) <= MAX_CHARS else None


def equal(answer: Raw | None, gold: LogicalForm) -> bool:
    """Same column, same aggregation, same set of conditions, values compared as lower-case text."""
    if answer is None:
        return False
    try:
        conditions = {(column, operator, str(value).lower()) for column, operator, value in answer["conds"]}
    except (TypeError, ValueError):  # not three fields, or fields that are lists
        return False
    wanted = {(column, operator, str(value).lower()) for column, operator, value in gold.conds}
    return bool(answer["sel"] == gold.sel and answer["agg"] == gold.agg and conditions == wanted)


def _from_json(text: str) -> Raw | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = found.get("query", found)
    return found if isinstance(found, dict) and {"sel", "agg", "conds"} <= set(found) else None


def _from_sql(text: str, table: LogicalForm) -> Raw | None:
    sketch = _SKETCH.fullmatch(text)
    if sketch is None:
        return None
    selected, aggregate = sketch["column"].strip(), 0
    if call := _AGGREGATE.fullmatch(selected):
        selected, aggregate = call[2].strip(), AGGREGATES.index(call[1].upper())
    column = "*" if selected == "*" and aggregate == 3 else _column(selected, table.header)
    if column is None:
        return None
    conditions = []
    for clause in _AND.finditer(sketch["where"] or ""):
        parts = _CONDITION.fullmatch(clause[1].strip())
        place = _column(parts[1], table.header) if parts else None
        if parts is None or place is None:
            return None
        conditions.append((place, OPERATORS.index(parts[2]), _plain(parts[3])))
    return {"sel": column, "agg": aggregate, "conds": conditions}


def _column(name: str, header: Sequence[str]) -> int | None:
    """The place of a column: by its header, by its header without signs and blanks, or by its number."""
    name = name.strip()
    if name[:1] in '"`[' and len(name) > 1:
        name = name[1:-1].replace('""', '"')
    for fold in (str.lower, _bare):
        places = [i for i, title in enumerate(header) if fold(title) == fold(name)]
        if places and fold(name):
            return places[0]
    number = re.fullmatch(r"col(\d+)", name, re.IGNORECASE)
    return int(number[1]) if number and (not header or int(number[1]) < len(header)) else None


def _bare(name: str) -> str:
    return re.sub(r"\W+", "", name.lower())


def _plain(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace(value[0] * 2, value[0])
    return value


# ---------------------------------------------------------------- as SQL


def sql_over_header(form: LogicalForm) -> str:
    """The form as SQL over the table's header, as a shot shows it; over col0, col1, ... without one."""
    conditions = [(column, operator, _literal(value)) for column, operator, value in form.conds]
    return _select(form.sel, form.agg, conditions, TABLE, form.header or _numbered(form))


def sql_over_database(form: LogicalForm) -> str:
    """The form as SQL over the benchmark's database; none for a number column compared with a text without one,
    which the official evaluator cannot run either."""
    try:
        return _executable({"sel": form.sel, "agg": form.agg, "conds": form.conds}, form)
    except IndexError:
        return ""


def runnable_sql(answer: str, table: LogicalForm) -> str:
    """The query to run for an answer: its form's where it has one, else its SQL with the table put before it."""
    raw = parse_answer(answer, table)
    if raw is not None:
        try:
            return _executable(raw, table)
        except (ValueError, IndexError, TypeError, KeyError):
            return ""
    names = ", ".join(map(_name, table.header))
    columns = ", ".join(f"col{i}" for i in range(len(table.header)))
    begins = f'WITH "{TABLE}"({names}) AS (SELECT {columns} FROM {_in_database(table.table)})'
    lower = _TEXT.sub(
        lambda text: text[0].lower(), re.sub(r"(?i)\bfrom\s+table\b", f'FROM "{TABLE}"', answer)
    )
    further = re.match(r"\s*with\s", lower, re.IGNORECASE)
    return f"{begins}, {lower[further.end() :]}" if further else f"{begins} {lower}"


def _executable(raw: Raw, table: LogicalForm) -> str:
    """Texts in lower case; a text compared with a number column becomes the number in it."""
    conditions = []
    for column, operator, value in raw["conds"]:
        if isinstance(value, str):
            value = value.lower()
            if table.types and table.types[column] == "real":
                value = _number(value)
        conditions.append((column, operator, _literal(value)))
    names = [f"col{i}" for i in range(len(table.header))] or _numbered(table)
    return _select(raw["sel"], raw["agg"], conditions, _in_database(table.table), names)


def _numbered(form: LogicalForm) -> list[str]:
    """Column names for a table without a header, as far as the form needs them."""
    return [f"col{i}" for i in range(1 + max([form.sel, *(column for column, _, _ in form.conds)]))]


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return float(_NUMBER.findall(text)[0])


def _in_database(table: str) -> str:
    return f"table_{table.replace('-', '_')}"


def _select(
    column: int | str,
    aggregate: int,
    conditions: Sequence[tuple[int, int, str]],
    table: str,
    names: Sequence[str],
) -> str:
    if column != "*" and int(column) < 0:
        raise IndexError(column)
    selected = "*" if column == "*" else _name(names[int(column)])
    selected = f"{AGGREGATES[aggregate]}({selected})" if aggregate else selected
    clauses = [
        f"{_name(names[place])} {OPERATORS[operator]} {value}" for place, operator, value in conditions
    ]
    return f"SELECT {selected} FROM {table}" + (f" WHERE {' AND '.join(clauses)}" if clauses else "")


def _literal(value: object) -> str:
    return repr(value) if isinstance(value, int | float) else "'" + str(value).replace("'", "''") + "'"


def _name(title: str) -> str:
    return '"' + title.replace('"', '""') + '"' if not re.fullmatch(r"col\d+", title) else title
