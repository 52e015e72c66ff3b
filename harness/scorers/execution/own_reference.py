"""Unit tests behind a proof: a problem's own reference has to pass here before any answer to it is judged.

For benchmarks whose programs use libraries, files and clocks: where the reference does not pass, the machine is at
fault and not the answer, and the problem's answers have no score.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice

from harness.errors import SandboxFault, UserError
from harness.schema import Answer, Problem, Sandbox, Scorer, UnitTests, Verdict
from harness.scorers.execution.unit_tests import program, unit_tests, verdict

NOT_RUN = "not run: "  # how the error of an answer begins whose problem cannot be judged here
_CHUNK = 128  # answers taken in together: their references go through the sandbox before they do
_NO_MODULE = re.compile(r"No module named '([^'.]+)|cannot import name '\w+' from '([^'.]+)")


def proved_unit_tests(environment: str) -> Scorer:
    """Unit tests whose references are proved first; `environment` is what `harness env` builds for them."""
    return replace(unit_tests, score=partial(_score, environment))


def _score(environment: str, answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("unit_tests runs code and needs a sandbox")
    faults: dict[str, str] = {}
    taken = iter(answers)
    while chunk := list(islice(taken, _CHUNK)):
        new = list({problem.id: problem for problem, _ in chunk if problem.id not in faults}.values())
        references = sandbox.map(program((problem, _reference(problem))) for problem in new)
        for problem, result in zip(new, list(references), strict=True):
            failed = isinstance(result, SandboxFault) or result.status != "passed"
            why = str(result) if isinstance(result, SandboxFault) else f"{result.status}: {result.detail}"
            faults[problem.id] = _fault(why, environment) if failed else ""
        results = sandbox.map(program(answer) for answer in chunk if not faults[answer[0].id])
        for problem, _ in chunk:
            if fault := faults[problem.id]:
                yield Verdict(status="fault", score=None, error=fault)
            else:
                yield verdict(next(results))
        deque(results, maxlen=0)  # a batch is over when its iterator is


def _reference(problem: Problem) -> str:
    if not isinstance(problem.check, UnitTests) or not problem.check.reference:
        raise UserError(f"unit_tests cannot judge {problem.id}: its check has no reference")
    return problem.check.reference


def _fault(why: str, environment: str) -> str:
    if missing := _NO_MODULE.search(why):
        name = missing[1] or missing[2]
        return f"{NOT_RUN}no module {name!r} here; harness env {environment} installs what is needed"
    return f"{NOT_RUN}its own reference does not pass here ({why})"
