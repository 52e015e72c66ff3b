"""A query as Spider's grammar sees it, and what is left of it when what exact set match ignores is taken out.

Spider's grammar itself is in spider_grammar.py; the comparison of two queries in exact_set_match.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.schema import TableNames

OPERATORS = ("not", "between", "=", ">", "<", ">=", "<=", "!=", "in", "like", "is", "exists")
ARITHMETIC = ("none", "-", "+", "*", "/")
AGGREGATES = ("none", "max", "min", "count", "sum", "avg")

Column = tuple[int, str, bool | None]  # aggregate, column, DISTINCT
Unit = tuple[int, Column | None, Column | None]  # arithmetic operator, its sides
Value = Any  # a Select, a text in quotes, a float, a Column, or None where values do not count
Condition = tuple[bool, int, Unit, Value, Value]  # NOT, operator, left, right, right of BETWEEN


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


# ---------------------------------------------------------------- what does not count


def drop_values(query: Select) -> Select:
    """Compared values dropped, in conditions and the queries in them; not in a query that stands in FROM."""
    return replace(
        query,
        on=_drop_condition_values(query.on),
        where=_drop_condition_values(query.where),
        having=_drop_condition_values(query.having),
        combined=query.combined and (query.combined[0], drop_values(query.combined[1])),
    )


def _drop_condition_values(items: Sequence[Condition | str]) -> tuple[Condition | str, ...]:
    def kept(value: Value) -> Value:
        return drop_values(value) if isinstance(value, Select) else None

    return tuple(
        item
        if isinstance(item, str) or place % 2
        else (item[0], item[1], item[2], kept(item[3]), kept(item[4]))
        for place, item in enumerate(items)
    )


def canonicalize_columns(query: Select, names: TableNames) -> Select:
    """DISTINCT dropped, and each column of the query's own tables replaced by the one its foreign key leads to.

    Queries inside conditions or FROM are left as they are; queries after UNION and the like are changed with the
    tables of the first.
    """
    own = tuple(f"{table.removesuffix('__')}." for table in query.tables if isinstance(table, str))
    ties = {f"__{one}__": f"__{other}__" for one, other in names.keys.items()}
    return _replace_columns(
        query, {one: other for one, other in ties.items() if one.startswith(own)} if own else {}
    )


def _replace_columns(query: Select, ties: Mapping[str, str]) -> Select:
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
        combined=query.combined and (query.combined[0], _replace_columns(query.combined[1], ties)),
    )
