"""Spider's grammar: a query as the clauses that exact set match compares (Yu et al. 2018, process_sql.py).

The official evaluator reads a small part of SQL, in its own way, and a prediction that it cannot read counts
as an empty query. A general parser would accept more and so give other verdicts: this one accepts what the
official one accepts, with its oddities. The ones that matter:

  words       as NLTK's tokeniser makes them: `a=1` and `1,2` are one word, quotes of both kinds are the same
  joins       `FROM a, b`, `FROM a b` (an alias without AS) and `a LEFT JOIN b` are not read, but a second LEFT
              JOIN after an ON is, the word being swallowed by the value before it
  OR          after a condition that compares with a column, an OR and what follows up to the next AND is lost
  aliases     only of tables; a column alias cannot be read
  LIMIT       only whether there is one
  the end     whatever follows the part that was understood is ignored
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.schema import TableNames

CLAUSES = frozenset(("select", "from", "where", "group", "order", "limit", "intersect", "union", "except"))
JOINS = frozenset(("join", "on", "as"))
OPERATORS = ("not", "between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists")
ARITHMETIC = ("none", "-", "+", "*", "/")
AGGREGATES = ("none", "max", "min", "count", "sum", "avg")
SETS = ("intersect", "union", "except")

LONGEST = 20_000  # characters; a longer query counts as one that cannot be read

Column = tuple[int, str, bool | None]  # aggregate, column, DISTINCT
Unit = tuple[int, Column | None, Column | None]  # arithmetic operator, its sides
Value = Any  # a Select, a text in quotes, a float, a Column, or None where values do not count
Condition = tuple[bool, int, Unit, Value, Value]  # NOT, operator, left, right, right of BETWEEN


class Unreadable(Exception):
    """The official evaluator cannot read this query."""


@dataclass(frozen=True)
class Select:
    """One query. `where`, `having` and `on` are conditions and the words between them in turn, as written.

    Where the word between two conditions is missing they still follow each other, and what stands at an odd place
    is taken for the word, as in the official evaluator.
    """

    distinct: bool | None = False
    columns: tuple[tuple[int, Unit], ...] = ()
    tables: "tuple[str | Select, ...]" = ()
    on: tuple[Condition | str, ...] = ()
    where: tuple[Condition | str, ...] = ()
    group: tuple[Column, ...] = ()
    having: tuple[Condition | str, ...] = ()
    order: tuple[str, tuple[Unit, ...]] | None = None
    limit: bool = False
    combined: "tuple[str, Select] | None" = None


EMPTY = Select()


# ---------------------------------------------------------------- words

_CHANGES = [
    (re.compile(pattern), by)
    for pattern, by in (
        (r"([«“‘„]|`+)", r" \1 "),
        (r"([^.])(\.)([\])}>»”’ ]*+)\s*$", r"\1 \2 \3 "),
        (r"([:,])([^\d])", r" \1 \2"),
        (r"([:,])$", r" \1 "),
        (r"\.{2,}", r" \g<0> "),
        (r"[;@#$%&\u2012-\u2015]", r" \g<0> "),
        (r"[?!*\]\[(){}<>]", r" \g<0> "),
        (r"--", " -- "),
        (r"[»”’]", r" \g<0> "),
        (r"(?i)\b(can)(not)\b", r" \1 \2 "),
        (r"(?i)\b(gim|lem)(me)\b", r" \1 \2 "),
        (r"(?i)\b(gon)(na)\b", r" \1 \2 "),
        (r"(?i)\b(got)(ta)\b", r" \1 \2 "),
        (r"(?i)\b(wan)(na)(?=\s)", r" \1 \2 "),
    )
]


def words(sql: str) -> list[str]:
    """The query's words in lower case, texts in quotes kept whole. Raises Unreadable for an odd quote."""
    pieces = sql.replace("'", '"').split('"')
    if len(pieces) % 2 == 0:
        raise Unreadable("an odd number of quotes")
    texts = {}
    plain = [pieces[0]]
    at = len(pieces[0])
    for text, after in zip(pieces[1::2], pieces[2::2], strict=True):
        name = f"__val_{at}_{at + len(text) + 1}__"
        texts[name] = f'"{text}"'
        plain += [name, after]
        at += len(text) + 2 + len(after)
    line = "".join(plain)
    for change, by in _CHANGES:
        line = change.sub(by, line)
    found: list[str] = []
    for word in line.split():
        word = word.lower()
        if word == "=" and found and found[-1] in ("!", ">", "<"):
            found[-1] += "="
        else:
            found.append(texts.get(word, word))
    return found


# ---------------------------------------------------------------- parser


def parse(sql: str, names: TableNames) -> Select:
    """Raises Unreadable."""
    if len(sql) > LONGEST:
        raise Unreadable(f"more than {LONGEST} characters")
    try:
        found = words(sql)
        return _Parser(found, _aliases(found, names.columns), names.columns).query(0)[1]
    except (IndexError, KeyError, ValueError, RecursionError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from None


def _aliases(found: Sequence[str], tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    aliases = {found[i + 1]: found[i - 1] for i, word in enumerate(found) if word == "as"}
    for table in tables:
        if table in aliases:
            raise Unreadable(f"alias {table!r} is the name of a table")
        aliases[table] = table
    return aliases


class _Parser:
    """One list of words. Methods take a position and return the next one and what was read; running off the end
    is an IndexError, an unknown name a KeyError: both mean that the query cannot be read."""

    def __init__(self, found: Sequence[str], aliases: Mapping[str, str], tables: Mapping[str, Sequence[str]]):
        self.words = found
        self.aliases = aliases
        self.tables = tables

    def at(self, i: int) -> str:
        """The word at i, or "" past the end, which is no word of the grammar."""
        return self.words[i] if i < len(self.words) else ""

    def must(self, i: int, word: str) -> int:
        if self.words[i] != word:
            raise Unreadable(f"expected {word!r}, got {self.words[i]!r}")
        return i + 1

    def ends(self, i: int) -> bool:
        return self.at(i) in CLAUSES or self.at(i) in (")", ";")

    # ------------------------------------------------------------ a whole query

    def query(self, i: int) -> tuple[int, Select]:
        block = self.words[i] == "("
        after, tables, on, defaults = self.sources(i)
        distinct, columns = self.select(i + block, defaults)
        i, where = self.conditions_after("where", after, defaults)
        i, group = self.group(i, defaults)
        i, having = self.conditions_after("having", i, defaults)
        i, order = self.order(i, defaults)
        limit = self.at(i) == "limit"
        if limit:
            if i + 1 == len(self.words):
                raise Unreadable("LIMIT without a number")
            i += 2
        i = self.past_semicolons(i)
        if block:
            i = self.must(i, ")")
        i = self.past_semicolons(i)
        combined = None
        if self.at(i) in SETS:
            word = self.words[i]
            i, other = self.query(i + 1)
            combined = (word, other)
        return i, Select(distinct, columns, tables, on, where, group, having, order, limit, combined)

    def past_semicolons(self, i: int) -> int:
        while self.at(i) == ";":
            i += 1
        return i

    def sources(self, i: int) -> tuple[int, tuple[str | Select, ...], tuple[Condition | str, ...], list[str]]:
        """FROM, wherever the first one stands after i: tables, conditions of joins, tables for bare columns."""
        i = self.words.index("from", i) + 1
        tables: list[str | Select] = []
        defaults: list[str] = []
        on: list[Condition | str] = []
        while i < len(self.words):
            block = self.words[i] == "("
            i += block
            if self.words[i] == "select":
                i, inner = self.query(i)
                tables.append(inner)
            else:
                i += self.words[i] == "join"
                table = self.aliases[self.words[i]]
                if table not in self.tables:
                    raise Unreadable(f"no table {table!r}")
                i += 3 if self.at(i + 1) == "as" else 1
                tables.append(f"__{table}__")
                defaults.append(table)
            if self.at(i) == "on":
                i, found = self.conditions(i + 1, defaults)
                on += ["and", *found] if on else found
            if block:
                i = self.must(i, ")")
            if self.ends(i):
                break
        return i, tuple(tables), tuple(on), defaults

    def select(self, i: int, defaults: Sequence[str]) -> tuple[bool, tuple[tuple[int, Unit], ...]]:
        i = self.must(i, "select")
        distinct = self.at(i) == "distinct"
        i += distinct
        columns = []
        while i < len(self.words) and self.words[i] not in CLAUSES:
            aggregate = 0
            if self.words[i] in AGGREGATES:
                aggregate = AGGREGATES.index(self.words[i])
                i += 1
            i, unit = self.unit(i, defaults)
            columns.append((aggregate, unit))
            i += self.at(i) == ","
        return distinct, tuple(columns)

    def group(self, i: int, defaults: Sequence[str]) -> tuple[int, tuple[Column, ...]]:
        columns: list[Column] = []
        if self.at(i) != "group":
            return i, ()
        i = self.must(i + 1, "by")
        while i < len(self.words) and not self.ends(i):
            i, column = self.column(i, defaults)
            columns.append(column)
            if self.at(i) != ",":
                break
            i += 1
        return i, tuple(columns)

    def order(self, i: int, defaults: Sequence[str]) -> tuple[int, tuple[str, tuple[Unit, ...]] | None]:
        """The last direction named is that of all columns."""
        if self.at(i) != "order":
            return i, None
        i = self.must(i + 1, "by")
        units: list[Unit] = []
        direction = "asc"
        while i < len(self.words) and not self.ends(i):
            i, unit = self.unit(i, defaults)
            units.append(unit)
            if self.at(i) in ("asc", "desc"):
                direction = self.words[i]
                i += 1
            if self.at(i) != ",":
                break
            i += 1
        return i, (direction, tuple(units))

    # ------------------------------------------------------------ conditions

    def conditions_after(
        self, word: str, i: int, defaults: Sequence[str]
    ) -> tuple[int, tuple[Condition | str, ...]]:
        if self.at(i) != word:
            return i, ()
        i, found = self.conditions(i + 1, defaults)
        return i, tuple(found)

    def conditions(self, i: int, defaults: Sequence[str]) -> tuple[int, list[Condition | str]]:
        found: list[Condition | str] = []
        while i < len(self.words):
            i, left = self.unit(i, defaults)
            negated = self.words[i] == "not"
            i += negated
            operator = OPERATORS.index(self.words[i])
            i, right = self.value(i + 1, defaults)
            upper = None
            if OPERATORS[operator] == "between":
                i, upper = self.value(self.must(i, "and"), defaults)
            found.append((negated, operator, left, right, upper))
            if self.ends(i) or self.at(i) in JOINS:
                break
            if self.at(i) in ("and", "or"):
                found.append(self.words[i])
                i += 1
        return i, found

    def value(self, i: int, defaults: Sequence[str]) -> tuple[int, Value]:
        start = i
        block = self.words[i] == "("
        i += block
        word = self.words[i]
        value: Value
        if word == "select":
            i, value = self.query(i)
        elif '"' in word:
            i, value = i + 1, word
        else:
            number = _number(word)
            if number is not None:
                i, value = i + 1, number
            else:
                while i < len(self.words) and not (
                    self.words[i] in (",", ")", "and") or self.words[i] in CLAUSES or self.words[i] in JOINS
                ):
                    i += 1
                # From the parenthesis on, if there was one: such a value can then not be closed, nor read.
                _, value = _Parser(self.words[start:i], self.aliases, self.tables).column(0, defaults)
        if block:
            i = self.must(i, ")")
        return i, value

    # ------------------------------------------------------------ columns

    def unit(self, i: int, defaults: Sequence[str]) -> tuple[int, Unit]:
        block = self.words[i] == "("
        i, one = self.column(i + block, defaults)
        operator, other = 0, None
        if self.at(i) in ARITHMETIC:
            operator = ARITHMETIC.index(self.words[i])
            i, other = self.column(i + 1, defaults)
        if block:
            i = self.must(i, ")")
        return i, (operator, one, other)

    def column(self, i: int, defaults: Sequence[str]) -> tuple[int, Column]:
        block = self.words[i] == "("
        i += block
        if self.words[i] in AGGREGATES:
            aggregate = AGGREGATES.index(self.words[i])
            i = self.must(i + 1, "(")
            distinct = self.words[i] == "distinct"
            name = self.name(i + distinct, defaults)
            # The parenthesis before an aggregate is not closed here but by the unit around it, or not at all.
            return self.must(i + distinct + 1, ")"), (aggregate, name, distinct)
        distinct = self.words[i] == "distinct"
        i += distinct
        name = self.name(i, defaults)
        i += 1
        if block:
            i = self.must(i, ")")
        return i, (0, name, distinct)

    def name(self, i: int, defaults: Sequence[str]) -> str:
        word = self.words[i]
        if word == "*":
            return "__all__"
        if "." in word:
            alias, column = word.split(".")
            table = self.aliases[alias]
            if column not in self.tables[table]:
                raise Unreadable(f"no column {word!r}")
            return f"__{table}.{column}__"
        for table in defaults:
            if word in self.tables[table]:
                return f"__{table}.{word}__"
        raise Unreadable(f"no column {word!r}")


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


# ---------------------------------------------------------------- what does not count


def without_values(query: Select) -> Select:
    """Compared values dropped, in conditions and the queries in them; not in a query that stands in FROM."""
    return replace(
        query,
        on=_valueless(query.on),
        where=_valueless(query.where),
        having=_valueless(query.having),
        combined=query.combined and (query.combined[0], without_values(query.combined[1])),
    )


def _valueless(items: Sequence[Condition | str]) -> tuple[Condition | str, ...]:
    def kept(value: Value) -> Value:
        return without_values(value) if isinstance(value, Select) else None

    return tuple(
        item
        if isinstance(item, str) or place % 2
        else (item[0], item[1], item[2], kept(item[3]), kept(item[4]))
        for place, item in enumerate(items)
    )


def with_tied_columns(query: Select, names: TableNames) -> Select:
    """DISTINCT dropped, and each column of the query's own tables replaced by the one its foreign key leads to.

    Queries inside conditions or FROM are left as they are; queries after UNION and the like are changed with the
    tables of the first.
    """
    own = tuple(f"{table.removesuffix('__')}." for table in query.tables if isinstance(table, str))
    ties = {f"__{one}__": f"__{other}__" for one, other in names.keys.items()}
    return _tied(query, {one: other for one, other in ties.items() if one.startswith(own)} if own else {})


def _tied(query: Select, ties: Mapping[str, str]) -> Select:
    def column(one: Column) -> Column:
        return one[0], ties.get(one[1], one[1]), None

    def unit(one: Unit) -> Unit:
        return one[0], one[1] and column(one[1]), one[2] and column(one[2])

    def conditions(items: Sequence[Condition | str]) -> tuple[Condition | str, ...]:
        return tuple(
            item
            if isinstance(item, str) or place % 2
            else (item[0], item[1], unit(item[2]), item[3], item[4])
            for place, item in enumerate(items)
        )

    return Select(
        distinct=None,
        columns=tuple((aggregate, unit(one)) for aggregate, one in query.columns),
        tables=query.tables,
        on=conditions(query.on),
        where=conditions(query.where),
        group=tuple(map(column, query.group)),
        having=conditions(query.having),
        order=query.order and (query.order[0], tuple(map(unit, query.order[1]))),
        limit=query.limit,
        combined=query.combined and (query.combined[0], _tied(query.combined[1], ties)),
    )
