"""Functional correctness: the answer passes when the problem's unit tests do. pass@k from Chen et al. (2021).

The sandbox decides; this turns its results into scores. A fault (the sandbox's, or tests that cannot run)
is never a zero: it has no score, is counted, and is tried again when the run is resumed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.errors import SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
    InlineTests,
    Program,
    Reduce,
    Sandbox,
    Score,
    Scorer,
    UnitTests,
    Verdict,
)


def program(answer: Answer) -> Program:
    problem, code = answer
    if not isinstance(problem.check, UnitTests | InlineTests):
        raise UserError(f"unit_tests cannot judge {problem.id}: its check is {problem.check.kind!r}")
    return tested(code, problem.check)


def tested(code: str, check: UnitTests | InlineTests) -> Program:
    """The code with its tests."""
    if isinstance(check, UnitTests):
        return Program(code=code, tests=check, limits=check.limits)
    return Program(
        code=f"{check.before}{code}{check.after}",
        language=check.language,
        flags=check.flags,
        needs=check.needs,
        sentinel=check.sentinel,
        tests_start=len(check.before) + len(code),
        files=check.files,
        limits=check.limits,
    )


def verdict(result: ExecResult | SandboxFault) -> Verdict:
    if isinstance(result, SandboxFault):
        return Verdict(status="fault", score=None, error=str(result))
    note = result.judge if result.judge == "in_process" else ""
    return Verdict(
        status=result.status,
        score=Score(value=1.0 if result.status == "passed" else 0.0, note=note),
        error=result.detail,
        cpu_s=result.cpu_s,
        wall_s=result.wall_s,
        peak_mb=result.peak_mb,
    )


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("unit_tests runs code and needs a sandbox")
    for result in sandbox.map(map(program, answers)):
        yield verdict(result)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import pass_at

    return {f"pass@{k}": pass_at(k) for k in ks}


unit_tests = Scorer(name="unit_tests", score=_score, metrics=metrics, executes=True, cacheable=True)
