"""The share of answers that are Python: `ast.parse` reads them, and they are not blank.

Says nothing of whether they run (`valid_rate`) or are right. Indentation that all lines share is taken off
first. Python 2 is not Python here. A corpus value is the mean over problems of the mean over their samples.
"""

from collections.abc import Mapping, Sequence

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer
from harness.scorers.similarity.ast_similarity import parse_python, python_version


def judge(problem: Problem, answer: str) -> Score:
    return Score(value=float(parse_python(answer) is not None))


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"parse_rate": mean_of()}


def signature(problems: Sequence[Problem]) -> str:
    return f"parse_rate {python_version()}"


parse_rate = Scorer(name="parse_rate", score=PerAnswer(judge), metrics=metrics, signature=signature)
