"""How varied texts are: distinct n-grams and type/token ratios over any tokens. Pure; no tokeniser here.

None of these is a function of a sum over problems (a type seen in two problems is one type), so they are
plain functions over a corpus and have no interval from harness/stats/estimates.py.
"""

from collections.abc import Hashable, Iterable, Sequence


def distinct_n(texts: Iterable[Sequence[Hashable]], n: int) -> float:
    """The share of distinct ones among the n-grams of all texts (Li et al., 2016); 0 where there are none.

    No n-gram crosses from one text to the next. Falls as the corpus grows: compare equal sizes only. Raises
    ValueError for n below 1.
    """
    if n < 1:
        raise ValueError(f"distinct-n needs n >= 1, got {n}")
    seen: set[tuple[Hashable, ...]] = set()
    total = 0
    for text in texts:
        for i in range(len(text) - n + 1):
            seen.add(tuple(text[i : i + n]))
            total += 1
    return len(seen) / total if total else 0.0


def type_token_ratio(texts: Iterable[Sequence[Hashable]]) -> float:
    """Distinct tokens over tokens of the texts put one after the other; 0 where there are none."""
    return distinct_n(texts, 1)
