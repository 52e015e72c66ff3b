"""The values that a CodeBLEU scorer gives to one answer or to a corpus of them."""

import numpy as np
import pytest

from harness import scorers
from harness.schema import Problem, Reference, Scorer
from harness.stats.estimates import estimate

PARTS = ("ngram", "weighted", "syntax", "dataflow")
LOOP = "def f(xs):\n    total = 0\n    for x in xs:\n        total = total + x\n    return total"


def problem(*references: str) -> Problem:
    return Problem(id="t/0", question="", solution=references[0], check=Reference(texts=references))


def corpus(scorer: Scorer, judged: list[tuple[str, str]]) -> dict[str, float]:
    """The scorer's corpus metrics for (reference, answer) pairs, one problem each; names shortened."""
    verdicts = scorer.score([(problem(reference), answer) for reference, answer in judged], None)
    scores = [np.array([[v.score.value, *v.score.stats]]) for v in verdicts]
    values = {name: estimate(r, scores, rounds=2).value for name, r in scorer.metrics([1]).items()}
    return {name.removeprefix(f"{scorer.name}.").removeprefix(scorer.name): v for name, v in values.items()}


def one(answer: str, *references: str, scorer: Scorer = scorers.codebleu) -> dict[str, float]:
    (verdict,) = scorer.score([(problem(*references), answer)], None)
    scores = [np.array([[verdict.score.value, *verdict.score.stats]])]
    values = {name: estimate(r, scores).value for name, r in scorer.metrics([1]).items()}
    assert values[scorer.name] == pytest.approx(verdict.score.value)
    return {name.removeprefix(f"{scorer.name}."): value for name, value in values.items()}
