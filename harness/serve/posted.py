"""Programs and queries that come with what judges them: made into problems, and judged by the scorers of tasks."""

import atexit
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

from harness import scorers
from harness.runs.judge import as_stored
from harness.schema import IOCases, Judgement, Problem, Query, Sandbox, Scorer, UnitTests
from harness.serve.databases import PostedDatabases
from harness.serve.messages import PostedAnswer, PostedQuery


def judge(samples: Iterable[PostedAnswer], sandbox: Sandbox) -> Iterator[Judgement]:
    """A verdict for each, in order, as it comes; samples are numbered from 0. Raises UserError for a bad script."""
    numbered = enumerate(samples)
    for scorer, group in groupby(numbered, lambda each: _scorer(each[1])):
        yield from _judge(scorer, group, sandbox)


def _scorer(sample: PostedAnswer) -> Scorer:
    match sample.check:
        case UnitTests():
            return scorers.unit_tests
        case IOCases():
            return scorers.io_cases
        case PostedQuery():
            return scorers.sql_execution


def _judge(
    scorer: Scorer, samples: Iterator[tuple[int, PostedAnswer]], sandbox: Sandbox
) -> Iterator[Judgement]:
    waiting: list[tuple[Problem, str]] = []

    def answers() -> Iterator[tuple[Problem, str]]:
        for number, sample in samples:
            check = _query(sample.check) if isinstance(sample.check, PostedQuery) else sample.check
            problem = Problem(id=f"posted/{number}", question="", solution="", check=check)
            waiting.append((problem, sample.answer))
            yield waiting[-1]

    try:
        for verdict in scorer.score(answers(), sandbox):
            problem, answer = waiting.pop(0)
            _give_back(problem)
            yield Judgement(
                problem_id=problem.id,
                index=0,
                scorer=scorer.name,
                answer=as_stored(answer),
                status=verdict.status,
                score=verdict.score,
                error=verdict.error,
            )
    finally:
        for problem, _ in waiting:
            _give_back(problem)


# ---------------------------------------------------------------- databases


def _query(posted: PostedQuery) -> Query:
    file = _databases().take(posted.script)
    return Query(
        sql=posted.sql,
        database="posted",
        folders=(str(Path(file.path).parent.parent),),
        files=(file,),
        compare=posted.compare,
        cpu_s=posted.cpu_s,
    )


def _give_back(problem: Problem) -> None:
    if isinstance(problem.check, Query):
        _databases().give_back(problem.check.files[0])


@cache
def _databases() -> PostedDatabases:
    made = PostedDatabases()
    atexit.register(made.close)
    return made
