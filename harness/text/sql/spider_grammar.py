"""Spider's grammar: a query as the clauses that exact set match compares (Yu et al. 2018, process_sql.py).

The official evaluator reads a small part of SQL, in its own way, and a prediction that it cannot read counts
as an empty query. A general parser would accept more and so give other verdicts: this one accepts what the
official one accepts, with its oddities. The ones that matter:

  tokens      as NLTK's tokeniser makes them: `a=1` and `1,2` are one token, quotes of both kinds are the same
  joins       `FROM a, b`, `FROM a b` (an alias without AS) and `a LEFT JOIN b` are not read, but a second LEFT
              JOIN after an ON is, the word being swallowed by the value before it
  OR          after a condition that compares with a column, an OR and what follows up to the next AND is lost
  aliases     only of tables; a column alias cannot be read
  LIMIT       only whether there is one
  the end     whatever follows the part that was understood is ignored
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.schema import TableNames
from harness.text.sql.spider_query import (
    AGGREGATES,
    ARITHMETIC,
    OPERATORS,
    Column,
    Condition,
    Select,
    Unit,
    Value,
)

CLAUSES = frozenset(("select", "from", "where", "group", "order", "limit", "intersect", "union", "except"))
JOINS = frozenset(("join", "on", "as"))
SETS = ("intersect", "union", "except")

MAX_CHARS = 20_000  # characters; a longer query counts as one that cannot be read


class UnparsableQuery(Exception):
    """The official evaluator cannot read this query."""


# ---------------------------------------------------------------- tokens

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


def tokenize(sql: str) -> list[str]:
    """The query's tokens in lower case, texts in quotes kept whole. Raises UnparsableQuery for an odd quote."""
    pieces = sql.replace("'", '"').split('"')
    if len(pieces) % 2 == 0:
        raise UnparsableQuery("an odd number of quotes")
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


@dataclass(frozen=True, eq=False)
class _Database:
    """A database's names as a key: the object itself, for mappings have no hash."""

    names: TableNames

    def __hash__(self) -> int:
        return id(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Database) and other.names is self.names


def parse(sql: str, names: TableNames) -> Select:
    """The query. Raises UnparsableQuery. What was read is kept: a gold query is asked for by each scorer and sample."""
    return _parse(sql, _Database(names))


@lru_cache(maxsize=4096)
def _parse(sql: str, database: _Database) -> Select:
    names = database.names
    if len(sql) > MAX_CHARS:
        raise UnparsableQuery(f"more than {MAX_CHARS} characters")
    try:
        found = tokenize(sql)
        return _Parser(found, _aliases(found, names.columns), names.columns).query(0)[1]
    except (IndexError, KeyError, ValueError, RecursionError) as error:
        raise UnparsableQuery(f"{type(error).__name__}: {error}") from None


def _aliases(found: Sequence[str], tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    aliases = {found[i + 1]: found[i - 1] for i, word in enumerate(found) if word == "as"}
    for table in tables:
        if table in aliases:
            raise UnparsableQuery(f"alias {table!r} is the name of a table")
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
            raise UnparsableQuery(f"expected {word!r}, got {self.words[i]!r}")
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
                raise UnparsableQuery("LIMIT without a number")
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
                    raise UnparsableQuery(f"no table {table!r}")
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
                raise UnparsableQuery(f"no column {word!r}")
            return f"__{table}.{column}__"
        for table in defaults:
            if word in self.tables[table]:
                return f"__{table}.{word}__"
        raise UnparsableQuery(f"no column {word!r}")


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
