"""The share of answers that run: exit status 0 and no uncaught exception, alone in the sandbox, no input.

The answer runs as the task extracts it; nothing is put before it, so a snippet that uses the question's
variables does not run. A blank answer does not count as valid, although Python would run it. Says nothing of
whether the answer is right. A corpus value is the mean over problems of the mean over their samples.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

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


def error_classes(judgements: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each way of not being valid occurs, from the rows of judgements.jsonl.

    The class is the exception's where there was one (`NameError`), else the status (`timeout`). Rows of other
    scorers, valid answers and faults of the sandbox are left out.
    """
    classes: Counter[str] = Counter()
    for row in judgements:
        if row["scorer"] == valid_rate.name and row["score"] is not None and row["score"]["value"] == 0.0:
            name = row["error"].partition(":")[0]
            raised = row["status"] in {"error", "compile_error", "memory"} and name.isidentifier()
            classes[name if raised else row["status"]] += 1
    return classes


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats import mean_of

    return {"valid_rate": mean_of()}


valid_rate = Scorer(name="valid_rate", score=_score, metrics=metrics, executes=True)
