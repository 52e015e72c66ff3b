"""A scorer of one's own: how long the answers are. Named in a config by path and variable.

harness score conala --completions FILE --set 'scorers=["exact", "examples/own_scorer.py:length"]'
"""

from collections.abc import Mapping, Sequence

from harness import PerAnswer, Problem, Score, Scorer, mean_of
from harness.schema import Reduce


def count_characters(problem: Problem, answer: str) -> Score:
    return Score(value=float(len(answer)))


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    return {"characters": mean_of(unit="number", lower_is_better=True)}


length = Scorer(name="length", score=PerAnswer(count_characters), metrics=metrics)
