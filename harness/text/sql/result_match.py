"""Whether two query results mean the same: as bags of rows, as sets or as lists; and how much they overlap.

Rows are tuples of SQLite's values. The SQL worker imports this file alone, so it needs nothing but the standard
library. Not here: getting the rows.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

Row = tuple[object, ...]


def same_bag(gold: Sequence[Row], got: Sequence[Row], ordered: bool) -> bool:
    """Spider's rule (Zhong et al. 2020, test-suite evaluator): equal bags of rows up to the order of columns.

    `ordered`: the rows' order counts too. Two empty results are equal whatever their columns.
    """
    if len(gold) != len(got):
        return False
    if not gold:
        return True
    if len(gold[0]) != len(got[0]):
        return False
    left, right = list(map(_unordered, gold)), list(map(_unordered, got))
    if left != right if ordered else set(left) != set(right):
        return False
    return _permuted(list(zip(*gold, strict=True)), list(zip(*got, strict=True)), ordered)


def _unordered(row: Row) -> Row:
    """The row's values in an order of their own. The evaluator sorts by text and type, which parts 1 from 1.0."""
    return tuple(sorted(row, key=lambda value: str(value) + str(type(value))))


def _permuted(gold: Sequence[Row], got: Sequence[Row], ordered: bool) -> bool:
    """Whether some order of `got`'s columns gives `gold`'s rows; both are lists of columns.

    Columns are matched one after another, and a beginning that no row order can make equal is not gone on
    with. Equal columns are tried once, so a result of many equal columns takes no longer.
    """
    gather: Callable[[Sequence[Row]], object] = tuple if ordered else Counter
    bags = [gather(column) for column in got]  # type: ignore[arg-type]
    targets = [gather(column) for column in gold]  # type: ignore[arg-type]
    may = [[j for j, bag in enumerate(bags) if bag == target] for target in targets]
    order = sorted(range(len(gold)), key=lambda i: len(may[i]))
    chosen: list[int] = []

    def extend() -> bool:
        if len(chosen) == len(order):
            return True
        tried: set[Row] = set()
        for j in may[order[len(chosen)]]:
            if j in chosen or got[j] in tried:
                continue
            tried.add(got[j])
            chosen.append(j)
            if (
                _agree([gold[i] for i in order[: len(chosen)]], [got[k] for k in chosen], ordered)
                and extend()
            ):
                return True
            chosen.pop()
        return False

    return extend()


def _agree(gold: Sequence[Row], got: Sequence[Row], ordered: bool) -> bool:
    left, right = zip(*gold, strict=True), zip(*got, strict=True)
    return list(left) == list(right) if ordered else Counter(left) == Counter(right)


def same_set(gold: Sequence[Row], got: Sequence[Row], ordered: bool) -> bool:
    """BIRD's rule (Li et al. 2023): equal sets of rows; neither order nor repetition counts."""
    del ordered
    return set(gold) == set(got)


def same_list(gold: Sequence[Row], got: Sequence[Row], ordered: bool) -> bool:
    """WikiSQL's rule (Zhong et al. 2017): equal lists of rows."""
    del ordered
    return list(gold) == list(got)


RULES: Mapping[str, Callable[[Sequence[Row], Sequence[Row], bool], bool]] = {
    "bag": same_bag,
    "set": same_set,
    "list": same_list,
}


def soft_f1(gold: Sequence[Row], got: Sequence[Row]) -> float:
    """BIRD mini-dev's soft F1, 0..1: shares of cells found, row by row in order, repeated rows dropped.

    A cell counts as found when its value stands anywhere in the other row. 1 for two empty results.
    """
    if not gold and not got:
        return 1.0
    gold, got = list(dict.fromkeys(gold)), list(dict.fromkeys(got))
    found = extra = missed = 0.0
    for wanted, row in zip(gold, got, strict=False):
        width = len(wanted)
        inside = sum(value in wanted for value in row)
        found += inside / width
        extra += (len(row) - inside) / width
        missed += sum(value not in row for value in wanted) / width
    extra += max(0, len(got) - len(gold))
    missed += max(0, len(gold) - len(got))
    precision = found / (found + extra) if found + extra else 0.0
    recall = found / (found + missed) if found + missed else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
