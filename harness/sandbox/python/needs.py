"""What tests need of a program besides calls with plain values; then they run beside it.

Only the tests decide, never an answer: otherwise an answer could choose to be judged where it can look at the tests.
They need more if they

    use a name that only the program can define, or replace or capture what it uses (mocks, redirected output)
    test a class or a coroutine
    call what the function returned, or use an attribute of it that no plain value has
    call the function for what it does to an argument, and look at that afterwards
"""

import ast
import builtins
import symtable
import types
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

# Tests that capture what a program prints, or patch what it uses.
_SAME_PROCESS = {"redirect_stdout", "redirect_stderr", "mock", "patch", "monkeypatch", "capsys"}
# Tests that ask what kind of function or generator a value is.
_SAME_PROCESS |= {
    "callable",
    "isgenerator",
    "GeneratorType",
    "FunctionType",
    "LambdaType",
    "getsource",
    "signature",
}
_PLAIN = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    bytearray,
    tuple,
    list,
    dict,
    set,
    frozenset,
    range,
    memoryview,
)


def _attributes(*kinds: type) -> frozenset[str]:
    return frozenset(name for kind in kinds for name in dir(kind))


_ATTRIBUTES = _attributes(*_PLAIN, Counter, OrderedDict, deque, datetime, timedelta, Exception)


@cache
def _number_attributes() -> frozenset[str]:
    from decimal import Decimal
    from fractions import Fraction

    return _attributes(Decimal, Fraction)


def _is_plain_attribute(name: str) -> bool:
    """Whether a plain value may have it."""
    return name in _ATTRIBUTES or name in _number_attributes()


def beside(code: str, entry: str, namespace: dict[str, Any]) -> bool:
    """Whether the tests have to run in the program's process. `namespace` is what the set-up defines."""
    known = {*namespace, *vars(builtins), entry, "__file__"}
    stub = namespace.get(entry)
    return (
        bool(_free_names(code) - known)
        or isinstance(stub, type)
        or (isinstance(stub, types.FunctionType) and bool(stub.__code__.co_flags & 0x80))
        or bool(_names(compile(code, "tests.py", "exec", dont_inherit=True)) & _SAME_PROCESS)
        or _looks_closer(ast.parse(code), entry)
    )


def _names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _free_names(code: str) -> set[str]:
    """Names that the tests use and nobody but the candidate could define."""
    top = symtable.symtable(code, "tests.py", "exec")
    bound = {
        symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    used = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (symbol.is_global() or table is top)
    }
    bound |= {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_declared_global() and symbol.is_assigned()
    }
    return set() if "import *" in code else used - bound


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


# ---------------------------------------------------------------- what is done with results and arguments


def _looks_closer(tree: ast.Module, entry: str) -> bool:
    """Whether what the function returned is called or has an attribute read, or what it was given is looked at."""
    functions = {entry} | _aliases(tree, entry)
    results = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_call(node.value, functions)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def is_result(node: ast.expr) -> bool:
        if isinstance(node, ast.Subscript):
            return is_result(node.value)
        return _is_call(node, functions) or (isinstance(node, ast.Name) and node.id in results)

    for node in ast.walk(tree):
        match node:
            case ast.Call(func=function) if is_result(function):
                return True
            case ast.Attribute(value=value, attr=name) if is_result(value) and not _is_plain_attribute(name):
                return True
            case ast.Compare(left=left, ops=[ast.Is() | ast.IsNot()], comparators=[ast.Name(id=name)]):
                if is_result(left) and not hasattr(builtins, name):
                    return True
    return any(_looks_at_argument(block, functions, results) for block in _blocks(tree))


def _aliases(tree: ast.Module, entry: str) -> set[str]:
    """Other names of the function: the parameter of a `check(candidate)` that is called with it, `f = entry`."""
    found = set()
    parameters = {
        node.name: [argument.arg for argument in node.args.args]
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in parameters:
                for parameter, argument in zip(parameters[name], arguments, strict=False):
                    if isinstance(argument, ast.Name) and argument.id == entry:
                        found.add(parameter)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=other)) if other == entry:
                found.add(name)
    return found


def _is_call(node: ast.expr, functions: set[str]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions


def _blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    yield tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.For | ast.With | ast.If):
            yield node.body


def _looks_at_argument(block: list[ast.stmt], functions: set[str], results: set[str]) -> bool:
    """Whether a name that the function was given is asserted about afterwards, apart from what it returned."""
    given: set[str] = set()
    for statement in block:
        names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
        if isinstance(statement, ast.Assert) and names & given and not names & (functions | results):
            return True
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and _is_call(node, functions):
                given |= {each.id for each in node.args if isinstance(each, ast.Name)}
        if isinstance(statement, ast.Assign):
            given -= {target.id for target in statement.targets if isinstance(target, ast.Name)}
    return False
