"""Tests that cannot run outside run in the candidate's own confined process.

Such a verdict cannot be made tamper-proof: what the tests can reach the candidate can reach. Two things make tampering
hard. The tests arrive only after the candidate's definitions have run, with a nonce that has to come back, so ending
early is no pass. And a candidate that passes is run again with falsified expectations, and then has to fail. The record
says `in_process`.
"""

import ast
import secrets

from harness.sandbox import framing
from harness.sandbox.python.candidate import Candidate
from harness.sandbox.python.termination import Termination
from harness.sandbox.values import codec


def run(candidate: Candidate, setup: str, code: str) -> Termination:
    """Run the tests in the candidate's process. Raises CandidateEnded."""
    candidate.await_definitions()
    nonce = secrets.token_bytes(16)
    candidate.send(framing.frame(b"t" + codec.encode((setup, code, nonce))))
    reply = candidate.receive()
    if reply[:1] == b"P":
        if reply[1:] == nonce:
            return Termination("passed", "")
        return Termination("error", "the program answered out of turn")
    candidate.reject(reply)
    termination, candidate.termination = candidate.termination, None
    assert termination is not None
    if reply[:1] == b"X" and termination.detail.split(":")[0] == "AssertionError":
        return Termination("failed", termination.detail)
    return termination


class _AssertionFalsifier(ast.NodeTransformer):
    """Replaces the right-hand side of every asserted `==` by an object equal to nothing; negates other assertions."""

    def __init__(self) -> None:
        self.changed = False

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        self.changed = True
        match node.test:
            case ast.Compare(ops=[ast.Eq()]) as comparison:
                unequal = ast.Call(ast.Name("object", ast.Load()), [], [])
                test: ast.expr = ast.Compare(comparison.left, comparison.ops, [unequal])
            case other:
                test = ast.UnaryOp(ast.Not(), other)
        return ast.Assert(test, node.msg)


def falsify(code: str) -> str | None:
    """The tests with their assertions falsified; None where there is no assertion."""
    falsifier = _AssertionFalsifier()
    tree = ast.fix_missing_locations(falsifier.visit(ast.parse(code)))
    return ast.unparse(tree) if falsifier.changed else None
