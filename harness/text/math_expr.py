"""Mathematical expressions read from text strictly, and compared by value: sin(2*x) is 2*sin(x)*cos(x).

The text is Python's expression syntax as SymPy prints it. Nothing of it is evaluated as code: each node of its
syntax tree is looked at, and only arithmetic, numbers, symbols, sequences and the functions listed here are
built. Sizes are bounded before anything is computed. The comparison can still take long, so it belongs into
a process with limits: scorers/symbolic.py sends this file into the sandbox as a program. Needs SymPy alone.
"""

import ast
import random
from typing import Any

MAX_TEXT = 10_000
MAX_NODES = 2_000
MAX_BITS = 20_000
POINTS = 12
MIN_POINTS = 6
TOLERANCE = 1e-6

FUNCTIONS = [
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "asin",
    "acos",
    "atan",
    "acot",
    "atan2",
    "sinh",
    "cosh",
    "tanh",
    "coth",
    "asinh",
    "acosh",
    "atanh",
    "exp",
    "log",
    "sqrt",
    "cbrt",
    "Abs",
    "sign",
    "erf",
    "erfc",
]
CONSTANTS = {"pi": "pi", "E": "E", "I": "I", "oo": "oo", "inf": "oo", "nan": "nan", "zoo": "zoo"}


class UnparsableExpression(Exception):
    """The text is no expression that is allowed here."""


def parse(text: str) -> Any:
    """A SymPy expression, or a tuple or frozen set of such (lists and matrices are tuples).

    Raises UnparsableExpression.
    """
    if len(text) > MAX_TEXT:
        raise UnparsableExpression(f"longer than {MAX_TEXT} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UnparsableExpression("no expression") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise UnparsableExpression(f"more than {MAX_NODES} parts")
    try:
        return _read(tree.body)
    except RecursionError:
        raise UnparsableExpression("nested too deeply") from None


def _read(node: ast.expr) -> Any:
    import sympy

    match node:
        case ast.Constant(value=bool()):
            raise UnparsableExpression("a truth value")
        case ast.Constant(value=int(value)):
            if value.bit_length() > MAX_BITS:
                raise UnparsableExpression("a number too large")
            return sympy.Integer(value)
        case ast.Constant(value=float(value)):
            return sympy.Float(value)
        case ast.Name(id=name) if name in CONSTANTS:
            return getattr(sympy, CONSTANTS[name])
        case ast.Name(id=name) if name.isidentifier() and len(name) <= 30:
            return sympy.Symbol(name)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_scalar(inner)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _scalar(inner)
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(op, _scalar(left), _scalar(right))
        case ast.Tuple(elts=items) | ast.List(elts=items):
            return tuple(map(_read, items))
        case ast.Set(elts=items):
            return frozenset(map(_scalar, items))
        case ast.Call(func=ast.Name(id="Matrix" | "ImmutableMatrix"), args=[rows], keywords=[]):
            return _read(rows)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if (
            name in FUNCTIONS and 1 <= len(args) <= 2
        ):
            return getattr(sympy, name)(*map(_scalar, args))
    raise UnparsableExpression(f"{type(node).__name__} is not allowed")


def _scalar(node: ast.expr) -> Any:
    value = _read(node)
    if isinstance(value, tuple | frozenset):
        raise UnparsableExpression("arithmetic with a sequence")
    return value


def _combine(op: ast.operator, left: Any, right: Any) -> Any:
    import sympy

    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Pow():
            if left.is_Rational and right.is_Integer:
                size = max(int(left.p).bit_length(), int(left.q).bit_length()) * abs(int(right))
                if size > MAX_BITS and left not in (0, 1, -1):
                    raise UnparsableExpression("a power too large")
            elif right.is_Integer and abs(int(right)) > MAX_BITS:
                raise UnparsableExpression("a power too large")
            return sympy.Pow(left, right)
    raise UnparsableExpression(f"{type(op).__name__} is not allowed")


def compare(got: str, wanted: str) -> str:
    """ "equal", "different: why" or "unreadable: why" (of `got`). Raises UnparsableExpression for `wanted`."""
    right = parse(wanted)
    try:
        left = parse(got)
    except UnparsableExpression as error:
        return f"unreadable: {error}"
    return "equal" if equal(left, right) else f"different: {got.strip()[:200]} is not {wanted.strip()[:200]}"


def equal(left: Any, right: Any) -> bool:
    """Whether two parsed values are the same: sequences item by item, sets in any order."""
    if isinstance(right, frozenset):
        return isinstance(left, tuple | frozenset) and _same_items(list(left), list(right))
    if isinstance(right, tuple) or isinstance(left, tuple | frozenset):
        if not isinstance(left, tuple) or not isinstance(right, tuple) or len(left) != len(right):
            return False
        return all(map(equal, left, right))
    return _same(left, right)


def _same_items(left: list[Any], right: list[Any]) -> bool:
    for item in right:
        found = next((at for at, other in enumerate(left) if equal(other, item)), None)
        if found is None:
            return False
        del left[found]
    return not left


def _same(left: Any, right: Any) -> bool:
    """Equal values at random points; where too few can be computed, `simplify` has to make the difference 0.

    A point counts where both sides are real and finite, or both are complex: log(x) and log(Abs(x)) agree so.
    """
    import sympy

    if left == right:
        return True
    symbols = sorted(left.free_symbols | right.free_symbols, key=str)
    draw = random.Random(0)
    agreed = 0
    for number in range(POINTS if symbols else 1):
        sign = -1 if number % 3 == 2 else 1
        point = {symbol: sympy.Float(sign * draw.uniform(0.2, 2.5), 30) for symbol in symbols}
        one, other = (_value(side, point) for side in (left, right))
        if one is None or other is None or (one.imag == 0) != (other.imag == 0):
            continue
        if abs(one - other) > TOLERANCE * max(1.0, abs(one), abs(other)):
            return False
        agreed += 1
    if agreed >= (MIN_POINTS if symbols else 1):
        return True
    return bool(sympy.simplify(left - right) == 0)


def _value(side: Any, point: dict[Any, Any]) -> complex | None:
    """The side's value at a point; None where it has none that a float can hold. Rounding leaves no phase."""
    try:
        value = complex(side.subs(point).evalf(30))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    if value != value or abs(value) > 1e300:
        return None
    return complex(value.real, 0.0) if abs(value.imag) <= 1e-12 * max(1.0, abs(value)) else value
