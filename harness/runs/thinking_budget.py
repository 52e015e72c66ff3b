"""What a reasoning model's samples would be worth if thought and answer had had fewer tokens: accuracy by budget.

A sample that is cut at a budget within its thought has no answer; one that is cut within its answer is judged again;
one that fits keeps its verdict. So the curve costs hardly more than the run, and its last point is the run's own value.
Tokens are the backend's counts. Where nobody counted, they are estimated from characters, in parts or in whole.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from harness.runs.judge import answer_of
from harness.runs.resolve import ResolvedRun
from harness.runs.store.run_folder import RunFolder
from harness.schema import Completion, Estimate, Generation, Problem, Sandbox, Score, Scorer
from harness.scorers import parallel
from harness.stats import estimates

if TYPE_CHECKING:
    from harness.stats.intervals import Floats

POINTS = 8  # budgets: powers of two, the largest of which leaves every sample whole
CHARACTERS_A_TOKEN = 3.5  # of code and English, for estimates


def tokens(completion: Completion) -> tuple[int, int]:
    """(of the thought, of the answer). Where only their sum was counted each gets its share by characters."""
    thought, answer = len(completion.reasoning), len(completion.text)
    total = completion.completion_tokens or round((thought + answer) / CHARACTERS_A_TOKEN)
    if completion.cut_off:
        return total, 0
    of_thought = completion.reasoning_tokens
    if of_thought is None:
        of_thought = round(total * thought / max(thought + answer, 1))
    return of_thought, max(total - of_thought, 0)


def truncate(completion: Completion, budget: int) -> Completion | None:
    """The completion as it is after `budget` tokens; None where it is whole by then."""
    thought, answer = tokens(completion)
    if thought + answer <= budget:
        return None
    if thought >= budget:
        return completion.model_copy(update={"text": "", "cut_off": True, "finish": "length"})
    kept = len(completion.text) * (budget - thought) // answer
    return completion.model_copy(update={"text": completion.text[:kept], "finish": "length"})


def choose_budgets(most: int) -> list[int]:
    """Powers of two up to the first that holds `most` tokens, POINTS of them at most."""
    last = max(most - 1, 1).bit_length()
    return [1 << power for power in range(max(1, last - POINTS + 1), last + 1)]


def curve(run: ResolvedRun, files: RunFolder, sandbox: Sandbox) -> Mapping[int, Estimate]:
    """The first metric of the first scorer by budget; empty where no answer can be judged again."""
    scorer = run.task.scorers[0]
    if scorer.needs:
        return {}
    most = max((sum(tokens(row.completion)) for row in files.generations.values()), default=0)
    budgets = choose_budgets(most)
    scores: dict[int, list[Floats]] = {budget: [] for budget in budgets}
    for budget, of_one in _rescored(run, scorer, files, sandbox, budgets):
        scores[budget].append(of_one)
    _, reduce = next(iter(scorer.metrics((1,)).items()))
    return {
        budget: estimates.estimate(reduce, of_all, seed=run.config.seed)
        for budget, of_all in scores.items()
        if of_all
    }


@dataclass
class _Cut:
    """A problem's scores at a budget, in the order of its samples; `unjudged` of them are still to come."""

    budget: int
    scores: list[Score | None]
    unjudged: int


def _rescored(
    run: ResolvedRun, scorer: Scorer, files: RunFolder, sandbox: Sandbox, budgets: Sequence[int]
) -> Iterator[tuple[int, "Floats"]]:
    """(budget, [samples, 1 + stats]) of each problem; without those of which a sample could not be judged."""
    waiting: deque[_Cut] = deque()
    places: deque[tuple[_Cut, int]] = deque()  # where the verdicts to come belong

    def answers() -> Iterator[tuple[Problem, str]]:
        for problem, samples, judged in _by_problem(run, scorer, files):
            for budget in budgets:
                shorter = [truncate(sample.completion, budget) for sample in samples]
                scores = [judged.get(sample.index) for sample in samples]
                cut = _Cut(budget, scores, sum(each is not None for each in shorter))
                waiting.append(cut)
                for number, completion in enumerate(shorter):
                    if completion is not None:
                        places.append((cut, number))
                        yield problem, answer_of(run.task, scorer, problem, completion)

    judging = replace(scorer, score=parallel.parallelize(scorer, run.config.judge.workers))
    for verdict in judging.score(answers(), sandbox if scorer.executes else None):
        cut, number = places.popleft()
        cut.scores[number] = verdict.score
        cut.unjudged -= 1
        yield from _complete(waiting)
    yield from _complete(waiting)


def _complete(waiting: deque[_Cut]) -> Iterator[tuple[int, "Floats"]]:
    """What stands before the first that still waits for a verdict."""
    import numpy as np

    while waiting and not waiting[0].unjudged:
        cut = waiting.popleft()
        whole = [score for score in cut.scores if score is not None]
        if whole and len(whole) == len(cut.scores):
            yield cut.budget, np.array([(score.value, *score.stats) for score in whole])


def _by_problem(
    run: ResolvedRun, scorer: Scorer, files: RunFolder
) -> Iterator[tuple[Problem, list[Generation], Mapping[int, Score | None]]]:
    """Each problem with its samples and the scores that they have. Both files are in canonical order."""
    problems = {problem.id: problem for problem in run.problems}
    judgements = groupby(
        (row for row in files.judgements.values() if row.scorer == scorer.name), lambda row: row.problem_id
    )
    for name, samples in groupby(files.generations.values(), lambda row: row.problem_id):
        judged_name, rows = next(judgements)
        assert judged_name == name
        yield problems[name], list(samples), {row.index: row.score for row in rows}
