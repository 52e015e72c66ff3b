"""Exact set match and hardness, clause by clause (Yu et al. 2018; evaluation.py of taoyds/test-suite-sql-eval).

A query matches when ten comparisons of its clauses with the gold's agree and it reads the same tables. Values
and DISTINCT do not count, a column counts as the one its foreign key leads to; which of that holds inside
nested queries is as in the official evaluator (spider_query.py).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.schema import TableNames
from harness.text.sql.spider_query import (
    OPERATORS,
    Condition,
    Select,
    Unit,
    canonicalize_columns,
    drop_values,
)

_LIKE, _IN = OPERATORS.index("like"), OPERATORS.index("in")


@dataclass(frozen=True)
class Clause:
    """One comparison: whether it agrees, and whether the prediction and the gold query have the clause at all."""

    agrees: bool
    in_prediction: bool
    in_gold: bool


def normalize(query: Select, names: TableNames) -> Select:
    """What is left of a query when what does not count is taken out."""
    return canonicalize_columns(drop_values(query), names)


def matches(clauses: Mapping[str, Clause], got: Select, gold: Select) -> bool:
    return all(clause.agrees for clause in clauses.values()) and (
        not gold.tables or _multiset(got.tables) == _multiset(gold.tables)
    )


def compare(got: Select, gold: Select) -> dict[str, Clause]:
    """The ten comparisons, of `normalize`d queries. A prediction that cannot be parsed is compared as EMPTY."""
    return {name: compare_one(got, gold) for name, compare_one in COMPARISONS.items()}


def equal(got: Select, gold: Select) -> bool:
    return matches(compare(got, gold), got, gold)


def _multiset(items: Iterable[object]) -> Counter[object]:
    return Counter(items)


def _compare_multisets(got: Sequence[object], gold: Sequence[object]) -> Clause:
    return Clause(_multiset(got) == _multiset(gold), bool(got), bool(gold))


def _units(items: Sequence[Condition | str]) -> list[Condition]:
    return [item for item in items[::2] if not isinstance(item, str)]


def _select(got: Select, gold: Select) -> Clause:
    return _compare_multisets(got.columns, gold.columns)


def _select_without_aggregates(got: Select, gold: Select) -> Clause:
    return _compare_multisets([unit for _, unit in got.columns], [unit for _, unit in gold.columns])


def _where(got: Select, gold: Select) -> Clause:
    return _compare_multisets(_units(got.where), _units(gold.where))


def _where_without_operators(got: Select, gold: Select) -> Clause:
    return _compare_multisets(
        [unit[2] for unit in _units(got.where)], [unit[2] for unit in _units(gold.where)]
    )


def _group(got: Select, gold: Select) -> Clause:
    """Names of columns only: the table they are of is left out."""
    left, right = ([name.partition(".")[2] or name for _, name, _ in query.group] for query in (got, gold))
    return _compare_multisets(left, right)


def _group_and_having(got: Select, gold: Select) -> Clause:
    """HAVING counts with GROUP BY alone; here the columns' order and tables count."""
    if bool(got.group) != bool(gold.group):
        agrees = False
    else:
        columns = [[name for _, name, _ in query.group] for query in (got, gold)]
        agrees = not got.group or (columns[0] == columns[1] and got.having == gold.having)
    return Clause(agrees, bool(got.group), bool(gold.group))


def _order(got: Select, gold: Select) -> Clause:
    """The same columns in the same order and direction, and LIMIT in both or in neither."""
    agrees = (got.order is None and gold.order is None) or (
        got.order is not None and got.order == gold.order and got.limit == gold.limit
    )
    return Clause(agrees, got.order is not None, gold.order is not None)


def _connectives(got: Select, gold: Select) -> Clause:
    left, right = set(got.where[1::2]), set(gold.where[1::2])
    return Clause(left == right, left == right or bool(left), left == right or bool(right))


def _sets(got: Select, gold: Select) -> Clause:
    """INTERSECT, EXCEPT or UNION with a matching query after it."""
    one, other = got.combined, gold.combined
    if one is None or other is None:
        return Clause(one is other, one is not None, other is not None)
    return Clause(one[0] == other[0] and equal(one[1], other[1]), True, True)


def _keywords(got: Select, gold: Select) -> Clause:
    left, right = keywords(got), keywords(gold)
    return Clause(left == right, bool(left), bool(right))


# In the order of the official report.
COMPARISONS: Mapping[str, Callable[[Select, Select], Clause]] = {
    "select": _select,
    "select_without_aggregates": _select_without_aggregates,
    "where": _where,
    "where_without_operators": _where_without_operators,
    "group": _group,
    "group_and_having": _group_and_having,
    "order": _order,
    "connectives": _connectives,
    "sets": _sets,
    "keywords": _keywords,
}


def _all_conditions(query: Select) -> list[Condition]:
    return [*_units(query.on), *_units(query.where), *_units(query.having)]


def _all_connectives(query: Select) -> list[Condition | str]:
    return [*query.on[1::2], *query.where[1::2], *query.having[1::2]]


def keywords(query: Select) -> set[str]:
    found = {
        "where": query.where,
        "group": query.group,
        "having": query.having,
        "order": query.order,
        "limit": query.limit,
        "or": "or" in _all_connectives(query),
        "not": any(unit[0] for unit in _all_conditions(query)),
        "in": any(unit[1] == _IN for unit in _all_conditions(query)),
        "like": any(unit[1] == _LIKE for unit in _all_conditions(query)),
    }
    words = {word for word, there in found.items() if there}
    words |= {query.order[0]} if query.order else set()
    return words | ({query.combined[0]} if query.combined else set())


# ---------------------------------------------------------------- hardness


def hardness(query: Select) -> str:
    """easy, medium, hard or extra, by what a (gold) query as parsed has in it."""
    parts, nested, others = _parts(query), _nested(query), _others(query)
    if nested == 0:
        if parts <= 1 and others == 0:
            return "easy"
        if (others <= 2 and parts <= 1) or (parts <= 2 and others < 2):
            return "medium"
        if (others > 2 and parts <= 2) or (2 < parts <= 3 and others <= 2):
            return "hard"
    return "hard" if parts <= 1 and others == 0 and nested <= 1 else "extra"


def _parts(query: Select) -> int:
    """WHERE, GROUP BY, ORDER BY, LIMIT, each join, each OR, each LIKE."""
    count = sum(map(bool, (query.where, query.group, query.order, query.limit)))
    count += max(0, len(query.tables) - 1)
    count += _all_connectives(query).count("or")
    return count + sum(unit[1] == _LIKE for unit in _all_conditions(query))


def _nested(query: Select) -> int:
    values = [value for unit in _all_conditions(query) for value in unit[3:]]
    return sum(isinstance(value, Select) for value in values) + (query.combined is not None)


def _others(query: Select) -> int:
    """More than one aggregate, selected column, condition, grouping column: one for each.

    Aggregates are counted as the official evaluator counts them: in WHERE and HAVING it looks at a condition's
    first field, which is NOT, and in HAVING also at the first letter of the words between.
    """
    aggregates = sum(aggregate != 0 for aggregate, _ in query.columns)
    aggregates += sum(bool(unit[0]) for unit in _units(query.where))
    aggregates += sum(aggregate != 0 for aggregate, _, _ in query.group)
    if query.order is not None:
        units: tuple[Unit, ...] = query.order[1]
        aggregates += sum(side[0] != 0 for unit in units for side in unit[1:] if side)
    aggregates += sum(bool(item[0]) for item in query.having)
    counts = (aggregates, len(query.columns), len(query.where), len(query.group))
    return sum(count > 1 for count in counts)
