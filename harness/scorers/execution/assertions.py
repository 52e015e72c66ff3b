"""The side of an assertion that the model completed: CRUXEval (Gu et al., 2024). pass@k.

The answer is an expression. It is run behind the row's function, and its value is compared outside. As in the benchmark
a call that was asked for has to call the function, and a value must not; here the whole answer is that call, or does
not name the function at all.
"""

import ast
from collections.abc import Iterable, Iterator

from harness.errors import UserError
from harness.schema import Answer, Assertion, Program, Sandbox, Scorer, UnitTests, Verdict
from harness.scorers.execution.unit_tests import metrics, verdict
from harness.text.extract.assertion import compared_expression

ENTRY_POINT = "_answer"


def _complaint(check: Assertion, expression: ast.expr) -> str:
    """Why an answer does not count; empty for one that does."""
    name = check.function
    if check.asked == "value":
        named = any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(expression))
        return f"the answer must not call {name}" if named else ""
    match expression:
        case ast.Call(func=ast.Name(id=called)) if called == name:
            return ""
    return f"the answer has to be a call of {name}"


def program(check: Assertion, answer: str) -> Program:
    """The row's function, and one that returns what the answer compares; or a program that says why nothing is."""
    compared = compared_expression(answer)
    complaint = _complaint(check, compared[1]) if compared else "the answer completes no assertion"
    if compared is None or complaint:
        code = f"raise ValueError({complaint!r})\n"
    else:
        code = f"{check.code}\n\n\ndef {ENTRY_POINT}():\n    return (\n{compared[0]}\n)\n"
    tests = UnitTests(
        code=f"assert {check.expected} == {ENTRY_POINT}()", entry_point=ENTRY_POINT, limits=check.limits
    )
    return Program(code=code, tests=tests, limits=check.limits)


def _programs(answers: Iterable[Answer]) -> Iterator[Program]:
    for problem, answer in answers:
        if not isinstance(problem.check, Assertion):
            raise UserError(f"assertions cannot judge {problem.id}: its check is {problem.check.kind!r}")
        yield program(problem.check, answer)


def _score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    if sandbox is None:
        raise UserError("assertions runs code and needs a sandbox")
    yield from map(verdict, sandbox.map(_programs(answers)))


assertions = Scorer(name="assertions", score=_score, metrics=metrics, executes=True, cacheable=True)
