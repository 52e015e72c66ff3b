"""Versions of a Python program that a test suite is tried on: broken ones, hollow ones, the same written otherwise.

    mutants    one small fault each (another operator, constant, bound ...), drawn with a seed
    hollow     the function under test does nothing and returns None, or something that equals nothing
    rewritten  the same behaviour in other bytecode: a suite that fails on it looks at code, not at behaviour
    probes     the program ends with `REACHED` as soon as one line, or one arm of a branch, is reached

Pure functions of source text on `ast`; nothing here runs anything. Faults are put into functions only: not
into docstrings, annotations, decorators, f-strings or what a module does when it is imported.
"""

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

REACHED = 97  # exit status of a program that got to its probe; nothing in Python ends with it by itself

_SWAPPED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_LEFT_ALONE = {"annotation", "returns", "decorator_list", "type_comment", "type_params"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Probe:
    """A program that ends with `REACHED` where a point is reached; the point may be a line, an arm or both."""

    code: str
    line: bool
    arm: bool


@dataclass(frozen=True)
class _Place:
    """Where a node hangs: `holder.field`, or `holder.field[index]`."""

    holder: ast.AST
    field: str
    index: int | None

    def put(self, node: object) -> None:
        if self.index is None:
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.index] = node


# ---------------------------------------------------------------- faults


def mutants(code: str, count: int, seed: int = 0) -> list[str]:
    """At most `count` different programs with one fault each, drawn from all there are. Raises SyntaxError."""
    tree = ast.parse(code)
    same = ast.unparse(tree)
    faults = [
        (place, node, other) for place, node in _sites(tree, within=False) for other in _alternatives(node)
    ]
    random.Random(f"{seed}:{same}").shuffle(faults)
    found: dict[str, None] = {}
    for place, node, other in faults:
        if len(found) == count:
            break
        place.put(other)
        text = ast.unparse(ast.fix_missing_locations(tree))
        place.put(node)
        if text != same:
            found[text] = None
    return list(found)


def _sites(node: ast.AST, within: bool) -> Iterator[tuple[_Place, ast.AST]]:
    """Every node inside a function that may be replaced, parents first."""
    within = within or isinstance(node, _Function)
    if isinstance(node, ast.JoinedStr):
        return
    for field, value in ast.iter_fields(node):
        if field in _LEFT_ALONE:
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _is_text(child):
                if within:
                    yield _Place(node, field, index if isinstance(value, list) else None), child
                yield from _sites(child, within)


def _is_text(node: ast.AST) -> bool:
    """A string standing alone: a docstring, or a comment by other means."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _alternatives(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.BinOp(left, op, right) if type(op) in _SWAPPED:
            return [ast.BinOp(left, _SWAPPED[type(op)](), right)]
        case ast.AugAssign(target, op, value) if type(op) in _SWAPPED:
            return [ast.AugAssign(target, _SWAPPED[type(op)](), value), ast.Pass()]
        case ast.Compare(left, ops, comparators):
            return [
                ast.Compare(left, [*ops[:i], other(), *ops[i + 1 :]], comparators)
                for i, op in enumerate(ops)
                for other in _COMPARED[type(op)]
            ]
        case ast.BoolOp(op, values):
            return [ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)]
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            return [operand]
        case ast.Constant(value):
            return [ast.Constant(other) for other in _other_values(value)]
        case ast.If(ast.Name() | ast.Call() as test, body, orelse):
            return [ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)]
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            return [ast.Return(ast.Constant(None))]
        case ast.Expr(ast.Call()):
            return [ast.Pass()]
        case ast.Slice(lower, upper, step):
            kept = [(None, upper, step), (lower, None, step), (lower, upper, None)]
            return [ast.Slice(*three) for three in kept]
        case ast.Break():
            return [ast.Continue()]
        case ast.Continue():
            return [ast.Break()]
    return []


def _other_values(value: object) -> Sequence[bool | int | float | str]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case float():
            return [value + 1.0]
        case str():
            return ["" if value else "mutant"]
    return []


# ---------------------------------------------------------------- hollow, and the same


def hollow(code: str, entry: str) -> tuple[str, ...]:
    """Two programs whose `entry` ignores its arguments: it returns None, or a new object every time.

    Everything else (name, parameters, docstring, other functions) stays. Empty where `entry` is no function.
    """
    versions = []
    for value in ("None", "object()"):
        tree = ast.parse(code)
        found = [node for node in tree.body if isinstance(node, _Function) and node.name == entry]
        if not found:
            return ()
        for function in found:
            function.body = [
                *function.body[: _has_docstring(function)],
                *ast.parse(f"return {value}", mode="exec").body,
            ]
        versions.append(ast.unparse(tree))
    return tuple(versions)


def rewritten(code: str) -> str:
    """The same program with an unused local variable in every function: other bytecode, other variables."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            node.body[_has_docstring(node) : 0] = ast.parse("_unused = 0").body
    return ast.unparse(tree)


def _has_docstring(node: _Function) -> int:
    """How many statements at the head of the body are its docstring: 1 or 0."""
    return int(_is_text(node.body[0]))


# ---------------------------------------------------------------- coverage


def probes(code: str) -> list[Probe]:
    """A probe for every line that begins a statement in a function, and for every arm of a branch.

    Arms: both sides of `if` (an absent `else` is one), the body of a loop and its end without `break`, each
    `case`. A loop on a constant has no end. The first statement of an arm is one point for both.
    """
    tree = ast.parse(code)
    end = ast.parse(f"__import__('os')._exit({REACHED})").body[0]
    points: dict[str, tuple[bool, bool]] = {}
    seen: set[int] = set()
    for body, index, line, arm in _points(tree, within=False):
        if line:
            number = body[index].lineno
            line = number not in seen
            seen.add(number)
        if line or arm:
            body.insert(index, end)
            text = ast.unparse(tree)
            del body[index]
            lines, arms = points.get(text, (False, False))
            points[text] = lines or line, arms or arm
    return [Probe(text, line, arm) for text, (line, arm) in points.items()]


def _points(node: ast.AST, within: bool) -> Iterator[tuple[list[ast.stmt], int, bool, bool]]:
    """(statements, where in them, whether a line begins there, whether an arm does)."""
    inside = within or isinstance(node, _Function)
    if inside:
        arms = _arms(node)
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if not isinstance(body, list):
                continue
            if field in arms:
                yield body, 0, False, True
            for index, statement in enumerate(list(body)):
                if not _is_text(statement) and not isinstance(statement, ast.Global | ast.Nonlocal):
                    yield body, index, True, False
    for child in ast.iter_child_nodes(node):
        yield from _points(child, inside)


def _arms(node: ast.AST) -> set[str]:
    match node:
        case ast.While(test=ast.Constant()):
            return {"body"}
        case ast.If() | ast.While() | ast.For() | ast.AsyncFor():
            return {"body", "orelse"}
        case ast.match_case():
            return {"body"}
    return set()
