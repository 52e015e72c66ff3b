"""Tests that cannot be run from outside run beside the candidate, in its own confined process.

Such a verdict cannot be made proof against tampering: what the tests can reach the candidate can reach. Two
things make it hard. The tests arrive only after the candidate's definitions have run, with a word made for
this run alone that has to come back, so ending early is no pass. And whoever passes has to fail once more,
with one expectation replaced by something that nothing equals. The record says `in_process`.
"""

import ast
import secrets

from harness.sandbox import framing
from harness.sandbox.python.candidate import Candidate, Termination
from harness.sandbox.values import codec


def run(candidate: Candidate, setup: str, code: str) -> Termination:
    """Run the tests in the candidate's process. Raises Ended."""
    candidate.await_definitions()
    word = secrets.token_bytes(16)
    candidate.send(framing.frame(b"t" + codec.encode((setup, code, word))))
    answer = candidate.receive()
    if answer[:1] == b"P":
        if answer[1:] == word:
            return Termination("passed", "")
        return Termination("error", "the program answered out of turn")
    candidate.refuse(answer)
    ending, candidate.ending = candidate.ending, None
    assert ending is not None
    if answer[:1] == b"X" and ending.detail.split(":")[0] == "AssertionError":
        return Termination("failed", ending.detail)
    return ending


class _Falsify(ast.NodeTransformer):
    """Replaces the right-hand side of every compared `==` in an assertion, and turns other assertions
    round.
    """

    def __init__(self) -> None:
        self.changed = False

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        self.changed = True
        match node.test:
            case ast.Compare(ops=[ast.Eq()]) as comparison:
                nothing = ast.Call(ast.Name("object", ast.Load()), [], [])
                test: ast.expr = ast.Compare(comparison.left, comparison.ops, [nothing])
            case other:
                test = ast.UnaryOp(ast.Not(), other)
        return ast.Assert(test, node.msg)


def falsify(code: str) -> str | None:
    """The tests with their assertions made false; None where there is no assertion to falsify."""
    changer = _Falsify()
    tree = ast.fix_missing_locations(changer.visit(ast.parse(code)))
    return ast.unparse(tree) if changer.changed else None
