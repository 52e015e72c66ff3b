"""What scorers that look at one answer at a time share: the batch form, and the reference texts of a problem."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.errors import DataError
from harness.schema import Answer, Expression, Problem, Query, Reference, Sandbox, Score, Verdict


@dataclass(frozen=True)
class PerAnswer:
    """The `score` of a Scorer that judges one answer at a time, by text alone.

    `parallelizable` says that another process would come to the same verdict (parallel.py).
    """

    judge: Callable[[Problem, str], Score]
    parallelizable: bool = True

    def __call__(self, answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        for problem, answer in answers:
            yield Verdict("scored", self.judge(problem, answer))


def reference_texts(problem: Problem) -> tuple[str, ...]:
    """The texts an answer is compared with. Raises DataError for a problem that has none."""
    match problem.check:
        case Reference(texts=texts) | Expression(texts=texts) if texts:
            return texts
        case Query(sql=sql):
            return (sql,)
    raise DataError(
        f"problem {problem.id} has no reference text, got check kind {problem.check.kind!r}; "
        "scorers that compare texts need Reference(texts=(...,)) with at least one text"
    )
