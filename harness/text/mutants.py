"""Versions of a Python program that a test suite is tried on: mutants, stubs, equivalent rewrites.

    make_mutants          one small fault each (another operator, constant, bound ...), drawn with a seed
    stubbed_versions      the function under test does nothing and returns None, or something that equals nothing
    rewrite_equivalently  the same behaviour in other bytecode: a suite that fails on it looks at code
    coverage_probes       the program ends with PROBE_EXIT_STATUS as soon as one line, or one branch, is reached

Pure functions of source text on `ast`; nothing here runs anything. Faults are put into functions only: not
into docstrings, annotations, decorators, f-strings or what a module does when it is imported.
"""

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PROBE_EXIT_STATUS = (
    97  # exit status of a program that got to its probe; nothing in Python ends with it by itself
)

_OPERATOR_SWAPS: dict[type[ast.operator], type[ast.operator]] = {
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
_COMPARISON_SWAPS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
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
_SKIPPED_FIELDS = {"annotation", "returns", "decorator_list", "type_comment", "type_params"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CoverageProbe:
    """A program that ends with PROBE_EXIT_STATUS where a point is reached: a line, a branch or both."""

    code: str
    line: bool
    branch: bool


@dataclass(frozen=True)
class _NodeSlot:
    """Where a node hangs: `holder.field`, or `holder.field[index]`."""

    holder: ast.AST
    field: str
    index: int | None

    def put(self, node: object) -> None:
        if self.index is None:
            setattr(self.holder, self.field, node)
        else:
            getattr(self.holder, self.field)[self.index] = node


# ---------------------------------------------------------------- mutants


def make_mutants(code: str, count: int, seed: int = 0) -> list[str]:
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


def _sites(node: ast.AST, within: bool) -> Iterator[tuple[_NodeSlot, ast.AST]]:
    """Every node inside a function that may be replaced, parents first."""
    within = within or isinstance(node, _Function)
    if isinstance(node, ast.JoinedStr):
        return
    for field, value in ast.iter_fields(node):
        if field in _SKIPPED_FIELDS:
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST) and not _is_text(child):
                if within:
                    yield _NodeSlot(node, field, index if isinstance(value, list) else None), child
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
        case ast.BinOp(left, op, right) if type(op) in _OPERATOR_SWAPS:
            return [ast.BinOp(left, _OPERATOR_SWAPS[type(op)](), right)]
        case ast.AugAssign(target, op, value) if type(op) in _OPERATOR_SWAPS:
            return [ast.AugAssign(target, _OPERATOR_SWAPS[type(op)](), value), ast.Pass()]
        case ast.Compare(left, ops, comparators):
            return [
                ast.Compare(left, [*ops[:i], other(), *ops[i + 1 :]], comparators)
                for i, op in enumerate(ops)
                for other in _COMPARISON_SWAPS[type(op)]
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


# ---------------------------------------------------------------- stubs and rewrites


def stubbed_versions(code: str, entry: str) -> tuple[str, ...]:
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


def rewrite_equivalently(code: str) -> str:
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


def coverage_probes(code: str) -> list[CoverageProbe]:
    """A probe for every line that begins a statement in a function, and for every branch.

    Branches: both sides of `if` (an absent `else` is one), the body of a loop and its end without `break`, each
    `case`. A loop on a constant has no end. The first statement of a branch is one point for both.
    """
    tree = ast.parse(code)
    end = ast.parse(f"__import__('os')._exit({PROBE_EXIT_STATUS})").body[0]
    points: dict[str, tuple[bool, bool]] = {}
    seen: set[int] = set()
    for body, index, line, branch in _points(tree, within=False):
        if line:
            number = body[index].lineno
            line = number not in seen
            seen.add(number)
        if line or branch:
            body.insert(index, end)
            text = ast.unparse(tree)
            del body[index]
            lines, branches = points.get(text, (False, False))
            points[text] = lines or line, branches or branch
    return [CoverageProbe(text, line, branch) for text, (line, branch) in points.items()]


def _points(node: ast.AST, within: bool) -> Iterator[tuple[list[ast.stmt], int, bool, bool]]:
    """(statements, where in them, whether a line begins there, whether a branch does)."""
    inside = within or isinstance(node, _Function)
    if inside:
        branches = _branches(node)
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if not isinstance(body, list):
                continue
            if field in branches:
                yield body, 0, False, True
            for index, statement in enumerate(list(body)):
                if not _is_text(statement) and not isinstance(statement, ast.Global | ast.Nonlocal):
                    yield body, index, True, False
    for child in ast.iter_child_nodes(node):
        yield from _points(child, inside)


def _branches(node: ast.AST) -> set[str]:
    match node:
        case ast.While(test=ast.Constant()):
            return {"body"}
        case ast.If() | ast.While() | ast.For() | ast.AsyncFor():
            return {"body", "orelse"}
        case ast.match_case():
            return {"body"}
    return set()
