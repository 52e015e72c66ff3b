"""The share of answers whose result is the same mathematical expression as the reference's.

An answer is a program that leaves its result in the variable `result`. Two programs of the sandbox a sample:
the first runs the answer and prints its result as text; the second, which never ran it, reads both texts
strictly and compares them (harness/text/math_expr.py). So what an answer is worth depends on the text of its
result alone, and no text is ever evaluated as code.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import islice

from harness.errors import SandboxFault, UserError
from harness.schema import (
    Answer,
    ExecResult,
    Expression,
    Limits,
    Problem,
    Program,
    Reduce,
    Sandbox,
    Score,
    Scorer,
    Verdict,
)

_CHUNK = 128
_LIMITS = Limits(cpu_s=20.0, wall_s=60.0)
_MARK = "the result is "
# Runs the answer as a module of its own kind and says what `result` is, the way SymPy prints it.
_RUN = """
import json
_space = {{"__name__": "__main__"}}
exec(compile({answer!r}, "answer.py", "exec"), _space)
def _text(value):
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return "{{" + ", ".join(map(_text, value)) + "}}"
    return str(value)
if "result" not in _space:
    raise NameError("the answer does not define 'result'")
print()
print({mark!r} + json.dumps(_text(_space["result"])))
"""
_COMPARE = """
import json, sys
print(json.dumps(compare(*json.load(sys.stdin))))
"""


def _expected(problem: Problem) -> Expression:
    if not isinstance(problem.check, Expression):
        raise UserError(f"symbolic cannot judge {problem.id}: its check is {problem.check.kind!r}")
    return problem.check


def _printed_result(result: ExecResult) -> str | None:
    """The text of the result that the answer's program printed last."""
    last = result.stdout.rstrip("\n").rpartition("\n")[2]
    if result.status != "passed" or not last.startswith(_MARK):
        return None
    try:
        text = json.loads(last.removeprefix(_MARK))
    except ValueError:
        return None
    return text if isinstance(text, str) else None


def _comparison(got: str, wanted: str) -> Program:
    source = files("harness.text").joinpath("math_expr.py").read_text(encoding="utf-8")
    return Program(code=source + _COMPARE, stdin=json.dumps([got, wanted]), limits=_LIMITS)


def _verdict(ran: ExecResult, compared: ExecResult | SandboxFault | None, wanted: str) -> Verdict:
    status, error = ran.status, ran.detail
    if isinstance(compared, SandboxFault):
        return Verdict(status="fault", score=None, error=str(compared))
    if compared is None:
        if status == "passed":
            status, error = "error", "the program ended before it told its result"
    elif compared.status in ("timeout", "memory"):
        status, error = "failed", f"could not be shown to be {wanted}: {compared.detail}"
    elif compared.status != "passed":
        return Verdict(status="fault", score=None, error=f"the comparison failed: {compared.detail}")
    else:
        word = json.loads(compared.stdout)
        status, error = ("passed", "") if word == "equal" else ("failed", word)
    return Verdict(
        status=status,
        score=Score(value=float(status == "passed")),
        error=error,
        cpu_s=ran.cpu_s,
        wall_s=ran.wall_s,
        peak_mb=ran.peak_mb,
    )


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("symbolic runs code and needs a sandbox")
    taken = iter(answers)
    while chunk := list(islice(taken, _CHUNK)):
        wanted = [_expected(problem).value for problem, _ in chunk]
        programs = (Program(code=_RUN.format(answer=text, mark=_MARK), limits=_LIMITS) for _, text in chunk)
        ran = list(sandbox.map(programs))
        told = [None if isinstance(result, SandboxFault) else _printed_result(result) for result in ran]
        pairs = [(got, value) for got, value in zip(told, wanted, strict=True) if got is not None]
        compared = iter(list(sandbox.map(_comparison(got, value) for got, value in pairs)))
        for result, got, value in zip(ran, told, wanted, strict=True):
            if isinstance(result, SandboxFault):
                yield Verdict(status="fault", score=None, error=str(result))
            else:
                yield _verdict(result, None if got is None else next(compared), value)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"symbolic_equivalence": mean_of()}


symbolic = Scorer(name="symbolic", score=_score, metrics=metrics, executes=True, cacheable=True)
