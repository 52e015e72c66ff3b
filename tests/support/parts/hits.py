"""Four texts to find, the rows of hits, and an end to the test at any warning."""

from collections.abc import Sequence

from harness.prompts.retrieval import Hit

TEXTS = ("sort list `x`", "reverse list `x`", "join `words` with a comma", "read csv file 'a.csv'")


def rows(hits: Sequence[Sequence[Hit]]) -> list[list[int]]:
    return [[row for row, _ in own] for own in hits]


def forbid(text: str) -> None:
    raise AssertionError(f"warned: {text}")
