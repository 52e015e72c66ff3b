"""Unit tests behind a proof: a problem's own reference has to pass here before any answer to it is judged.

For benchmarks whose programs use libraries, files and clocks: where the reference does not pass, the machine is at
fault and not the answer, and the problem's answers have no score.

Where the tests are several cases (ClassEval's classes of tests), each is a run of its own, and an answer passes that
passes all: `class_success`. `fun_success` is the share of cases passed, over the cases of all problems.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from harness.errors import SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
    Problem,
    Program,
    Reduce,
    Sandbox,
    Scorer,
    UnitTests,
    Verdict,
)
from harness.scorers.execution.unit_tests import program, unit_tests, verdict

if TYPE_CHECKING:
    from harness.schema import Floats

Results = Sequence[ExecResult | SandboxFault]

NOT_RUN = "not run: "  # how the error of an answer begins whose problem cannot be judged here
_CHUNK = 128  # answers taken in together: their references go through the sandbox before they do
_NO_MODULE = re.compile(r"No module named '([^'.]+)|cannot import name '\w+' from '([^'.]+)")


def proved_unit_tests(environment: str, cases: bool = False) -> Scorer:
    """Unit tests whose references are proved first; `environment` is what `harness env` builds for them. `cases`: the
    metrics are those of tests in several cases."""
    score = partial(_score, environment)
    if cases:
        return replace(unit_tests, name="test_cases", score=score, metrics=_case_metrics)
    return replace(unit_tests, score=score)


def _score(environment: str, answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("unit_tests runs code and needs a sandbox")
    faults: dict[str, str] = {}
    taken = iter(answers)
    while chunk := list(islice(taken, _CHUNK)):
        new = list({problem.id: problem for problem, _ in chunk if problem.id not in faults}.values())
        references = [(problem, _reference(problem)) for problem in new]
        for problem, results in zip(new, _judged(references, sandbox), strict=True):
            faults[problem.id] = _fault(results, environment)
        judged = _judged([answer for answer in chunk if not faults[answer[0].id]], sandbox)
        for problem, _ in chunk:
            if fault := faults[problem.id]:
                yield Verdict(status="fault", score=None, error=fault)
            else:
                yield _verdict(next(judged))
        deque(judged, maxlen=0)  # a batch is over when its iterator is


def _judged(answers: Sequence[Answer], sandbox: Sandbox) -> Iterator[Results]:
    """What came of each answer: a result for each case of its tests."""
    programs = [_programs(answer) for answer in answers]
    results = sandbox.map(each for one in programs for each in one)
    for one in programs:
        yield list(islice(results, len(one)))
    deque(results, maxlen=0)


def _programs(answer: Answer) -> list[Program]:
    whole = program(answer)
    tests = whole.tests
    if tests is None or not tests.cases:
        return [whole]
    alone = tests.model_copy(update={"cases": ()})
    return [
        whole.model_copy(update={"tests": alone.model_copy(update={"code": f"{tests.code}\n{case}"})})
        for case in tests.cases
    ]


def _verdict(results: Results) -> Verdict:
    """Of the cases together: the first that is a fault, else the first that does not pass, says why."""
    verdicts = [verdict(result) for result in results]
    bad = [one for one in verdicts if one.status != "passed"]
    said = next((one for one in verdicts if one.score is None), (bad or verdicts)[0])
    if len(verdicts) == 1 or said.score is None:
        return said
    passed = tuple(float(one.status == "passed") for one in verdicts)
    return replace(
        said,
        score=said.score.model_copy(update={"stats": passed}),
        cpu_s=sum(one.cpu_s for one in verdicts),
        wall_s=sum(one.wall_s for one in verdicts),
        peak_mb=max(one.peak_mb for one in verdicts),
    )


def _reference(problem: Problem) -> str:
    if not isinstance(problem.check, UnitTests) or not problem.check.reference:
        raise UserError(f"unit_tests cannot judge {problem.id}: its check has no reference")
    return problem.check.reference


def _fault(results: Results, environment: str) -> str:
    """Why the reference does not pass here; empty where it does."""
    bad = next((one for one in results if isinstance(one, SandboxFault) or one.status != "passed"), None)
    if bad is None:
        return ""
    why = str(bad) if isinstance(bad, SandboxFault) else f"{bad.status}: {bad.detail}"
    if missing := _NO_MODULE.search(why):
        name = missing[1] or missing[2]
        return f"{NOT_RUN}no module {name!r} here; harness env {environment} installs what is needed"
    return f"{NOT_RUN}its own reference does not pass here ({why})"


def _case_metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import pass_at

    return {f"class_success@{k}": pass_at(k) for k in ks} | {f"fun_success@{k}": _cases_at(k) for k in ks}


def _cases_at(k: int) -> Reduce:
    """The chance that one of k drawn samples passes a case, summed over a problem's cases, and their number."""

    def per_problem(scores: "Floats") -> "Floats":
        import numpy as np

        from harness.stats.estimates import pass_at_k

        cases = scores[:, 1:] if scores.shape[1] > 1 else scores  # a single case is the value itself
        passed = (cases == 1.0).sum(axis=0).tolist()
        return np.array([sum(pass_at_k(len(cases), n, k) for n in passed), float(len(passed))])

    def of_sum(sums: "Floats") -> "Floats":
        share: Floats = sums[..., 0] / sums[..., 1]
        return share

    return Reduce(per_problem, of_sum)
