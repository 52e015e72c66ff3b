"""The share of answers that run: exit status 0 and no uncaught exception, alone in the sandbox, no input.

The answer runs as the task extracts it; nothing is put before it, so a snippet that uses the question's
variables does not run. A blank answer does not count as valid, although Python would run it. Says nothing of
whether the answer is right. A corpus value is the mean over problems of the mean over their samples.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness.errors import SandboxFault, UserError
from harness.schema import Answer, ExecResult, Program, Reduce, Sandbox, Score, Scorer, Verdict


def _verdict(answer: str, result: ExecResult | SandboxFault) -> Verdict:
    if isinstance(result, SandboxFault):
        return Verdict(status="fault", score=None, error=str(result))
    blank = not answer.strip()
    return Verdict(
        status="failed" if blank else result.status,
        score=Score(value=float(result.status == "passed" and not blank)),
        error="the answer is blank" if blank else result.detail,
        cpu_s=result.cpu_s,
        wall_s=result.wall_s,
        peak_mb=result.peak_mb,
    )


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("valid_rate runs code and needs a sandbox")
    waiting: deque[str] = deque()  # what the sandbox has drawn and not answered yet, oldest first

    def programs() -> Iterator[Program]:
        for _, answer in answers:
            waiting.append(answer)
            yield Program(code=answer)

    for result in sandbox.map(programs()):
        yield _verdict(waiting.popleft(), result)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"valid_rate": mean_of()}


valid_rate = Scorer(name="valid_rate", score=_score, metrics=metrics, executes=True, cacheable=True)
