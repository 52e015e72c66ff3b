"""What tests of retrievers say and hear: rows of hits, and loggers that are quiet or forbid a warning."""

from collections.abc import Sequence

from harness.prompts.retrieval import Hit


def rows(hits: Sequence[Sequence[Hit]]) -> list[list[int]]:
    return [[row for row, _ in own] for own in hits]


def quiet(done: int, total: int) -> None:
    del done, total


def forbid(text: str) -> None:
    raise AssertionError(f"warned: {text}")
