"""Tests that cannot run outside run in the candidate's own confined process.

Such a verdict cannot be made tamper-proof: what the tests can reach the candidate can reach. Two things make tampering
hard. The tests arrive only after the candidate's definitions have run, with a nonce that has to come back, so ending
early is no pass. And a candidate that passes is run again with an expectation falsified, and then has to fail: one that
reads what the tests expect cannot tell the false from the true. The record says `in_process`.
"""

import ast
import os
import random
from collections.abc import Iterator
from typing import Any

from harness.sandbox import framing
from harness.sandbox.python.candidate import Candidate
from harness.sandbox.python.termination import Termination
from harness.sandbox.values import codec


def run(candidate: Candidate, setup: str, code: str, in_module: bool) -> Termination:
    """Run the tests in the candidate's process, and with `in_module` in its module. Raises CandidateEnded."""
    candidate.await_definitions()
    nonce = os.urandom(16)
    candidate.send(framing.frame(b"t" + codec.encode((setup, code, nonce, in_module))))
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


# What unittest calls the opposite of an assertion.
_OPPOSITES = (
    ("assertEqual", "assertNotEqual"),
    ("assertAlmostEqual", "assertNotAlmostEqual"),
    ("assertTrue", "assertFalse"),
    ("assertIn", "assertNotIn"),
    ("assertIs", "assertIsNot"),
    ("assertIsNone", "assertIsNotNone"),
    ("assertIsInstance", "assertNotIsInstance"),
    ("assertRegex", "assertNotRegex"),
    ("assertGreater", "assertLessEqual"),
    ("assertLess", "assertGreaterEqual"),
)
_OPPOSITE = dict(_OPPOSITES) | {right: left for left, right in _OPPOSITES}
# Of two equal lists or dicts; they have no opposite of their own.
_OPPOSITE |= dict.fromkeys(
    ("assertListEqual", "assertDictEqual", "assertTupleEqual", "assertSetEqual"), "assertNotEqual"
)
_OPPOSITE["assertMultiLineEqual"] = "assertNotEqual"
_FIXTURES = ("setUp", "setUpClass")
_LEAVES = (ast.Return, ast.Yield, ast.YieldFrom)


def _method(node: ast.AST) -> ast.Attribute | None:
    """The attribute that a call of unittest's assertions reads, where the assertion has an opposite."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name) as function):
            return function if name in _OPPOSITE else None
    return None


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

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if (function := _method(node)) is not None:
            self.changed = True
            function.attr = _OPPOSITE[function.attr]
        return self.generic_visit(node)


def falsify(code: str) -> str | None:
    """The tests with their assertions falsified; None where there is no assertion."""
    falsifier = _AssertionFalsifier()
    tree = ast.fix_missing_locations(falsifier.visit(ast.parse(code)))
    return ast.unparse(tree) if falsifier.changed else None


def falsify_one(code: str, chance: random.Random) -> str | None:
    """The tests with one expectation falsified, drawn among those that they reach for sure; a literal becomes another
    of its kind. None where there is none.
    """
    tree = ast.parse(code)
    sure = list(_sure_assertions(tree))
    if not sure:
        return None
    _falsify(chance.choice(sure), chance)
    return ast.unparse(ast.fix_missing_locations(tree))


def _falsify(chosen: ast.Assert | ast.Call, chance: random.Random) -> None:
    match chosen:
        case ast.Assert(test=ast.Compare(ops=[ast.Eq()], comparators=[ast.expr() as right]) as comparison):
            if (other := _other_literal(right, chance)) is not None:
                comparison.comparators = [other]
                return
        case ast.Call(func=ast.Attribute(attr="assertEqual"), args=[_, right, *_]):
            if (other := _other_literal(right, chance)) is not None:
                chosen.args[1] = other
                return
    if isinstance(chosen, ast.Assert):
        chosen.test = ast.UnaryOp(ast.Not(), chosen.test)
    elif (function := _method(chosen)) is not None:
        function.attr = _OPPOSITE[function.attr]


def controls(code: str, rounds: int) -> Iterator[tuple[str, bool]]:
    """Tests to run again, and whether they are the true ones: by turns, beginning with falsified ones."""
    chance = random.SystemRandom()
    # Of a unittest only what is surely run: assertions below `assertRaises` say nothing when they are falsified.
    fallback = falsify_one(code, chance) if _unittest(ast.parse(code)) else falsify(code)
    if fallback is None:
        return
    for number in range(rounds):
        yield falsify_one(code, chance) or fallback, False
        if number + 1 < rounds:
            yield code, True


def _sure_assertions(tree: ast.Module) -> Iterator[ast.Assert | ast.Call]:
    """Assertions that tests which pass have run: at their top level, and in functions without a way out before the end
    that are called there, or that unittest calls.
    """
    called = {
        node.func.id
        for statement in tree.body
        if isinstance(statement, ast.Expr | ast.Assign)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for statement in tree.body:
        if isinstance(statement, ast.Assert):
            yield statement
        elif (
            isinstance(statement, ast.FunctionDef)
            and statement.name in called
            and _runs_to_its_end(statement)
        ):
            yield from (each for each in statement.body if isinstance(each, ast.Assert))
    if (tests := _unittest(tree)) is not None:
        yield from _unittest_assertions(tests)


def _unittest(tree: ast.Module) -> ast.ClassDef | None:
    """The unittest class of the tests: the last, which hides others of its name."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return next(
        (node for node in reversed(classes) if "TestCase" in "".join(map(ast.unparse, node.bases))), None
    )


def _unittest_assertions(tests: ast.ClassDef) -> Iterator[ast.Assert | ast.Call]:
    """What a test method surely asserts: in its body and below `with`, where nothing ends it before."""
    methods = {node.name: node for node in tests.body if isinstance(node, ast.FunctionDef)}
    if "skip" in "".join(
        ast.unparse(each) for each in (*tests.decorator_list, *map(methods.get, _FIXTURES)) if each
    ):
        return
    for method in methods.values():  # of two with one name the last is run
        text = ast.unparse(method)
        if (
            not method.name.startswith("test")
            or "skip" in text
            or "expectedFailure" in text
            or _leaves(method)
        ):
            continue
        waiting: list[ast.stmt] = [*method.body]
        while waiting:
            match waiting.pop():
                case ast.Assert() as assertion:
                    yield assertion
                case ast.Expr(value=ast.Call() as call) if _method(call) is not None:
                    yield call
                case ast.With(items=items, body=body) if not _expects_exception(items):
                    waiting += body


def _expects_exception(items: list[ast.withitem]) -> bool:
    words = ("assertRaises", "suppress", "assertWarns", "subTest")
    return any(word in ast.unparse(item) for item in items for word in words)


def _runs_to_its_end(function: ast.FunctionDef) -> bool:
    return not function.decorator_list and not _leaves(function)


def _leaves(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, _LEAVES) for node in ast.walk(function))


def _other_literal(node: ast.expr, chance: random.Random) -> ast.expr | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    other = _other_value(value, chance)
    return None if other is None else ast.parse(repr(other), mode="eval").body


def _other_value(value: Any, chance: random.Random) -> Any:
    """A value of the same kind that is not equal to it; None where there is none that looks like it."""
    match value:
        case bool():
            return not value
        case int():
            return value + chance.choice([-2, -1, 1, 2]) if abs(value) > 2 else value + chance.choice([1, 2])
        case float():
            return value + chance.choice([-2, -1, 1, 2]) if abs(value) < 1e15 else None
        case str() if value:
            at = chance.randrange(len(value))
            letter = chance.choice([each for each in "aeinorst" if each != value[at]])
            return value[:at] + letter + value[at + 1 :]
        case list() | tuple() if value:
            items = list(value)
            at = chance.randrange(len(items))
            items[at] = _other_value(items[at], chance)
            return None if items[at] is None else type(value)(items)
    return None
