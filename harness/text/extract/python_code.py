"""What can be told of Python code from its syntax tree: what it defines, what it needs, and how it is put right.

Nothing is run or imported. Code beyond MAX_PARSED_CHARS is not looked at and counts as code that does not parse.
"""

import ast
import builtins
import re
import textwrap
import warnings
from collections.abc import Iterator

from harness.text.ngrams import MAX_PARSED_CHARS

MAX_REPAIRED_CHARS = 100_000  # characters of an answer that is put right: each way costs another parse
_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}
# What Python and IPython write before a line that was typed in.
_TYPED = re.compile(r"[ \t]*+(?:>>>|\.\.\.(?!:)|In \[\d{1,5}\]:|\.\.\.:)(?: |(?=\r?\n)|\Z)")
_READS_INPUT = {"input", "raw_input", "stdin", "fileinput", "open"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(code: str) -> ast.Module | None:
    """The syntax tree, or None where there is none."""
    if len(code) > MAX_PARSED_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" and `x is 1` are the model's affair, not ours
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def defines(code: str, name: str) -> bool:
    """Whether `code` is a complete module that has a function or class `name` at top level."""
    tree = parse(code)
    return tree is not None and name in definitions(tree)


def definitions(tree: ast.Module) -> dict[str, ast.stmt]:
    """The functions and classes at top level; of several with one name the last."""
    return {node.name: node for node in tree.body if isinstance(node, Function | ast.ClassDef)}


def bound_names(tree: ast.Module) -> set[str]:
    """Every name that the module gives a value at top level: definitions, assignments, imports."""
    return {name for node in tree.body for name in _bound(node)}


def makes(tree: ast.Module, name: str) -> bool:
    """Whether the module gives `name` its value itself: one that imports it only shows its use."""
    return any(
        name in _bound(node) for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)
    )


def _bound(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            for alias in names:
                yield alias.asname or alias.name.partition(".")[0]
        case ast.If(body=body, orelse=other) | ast.Try(body=body, orelse=other):
            for each in (*body, *other):
                yield from _bound(each)
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.For() | ast.With():
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    yield inner.id


def free_names(tree: ast.Module) -> set[str]:
    """The names that the code uses and neither binds anywhere nor finds among the builtins."""
    used, known = set(), set(_BUILTINS)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ClassDef(name=name):
                known.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                known.add(name)
            case ast.alias(name=name, asname=other):
                known.add(other or name.partition(".")[0])
            case ast.ExceptHandler(name=str(name)):
                known.add(name)
    return used - known


def is_stub(tree: ast.Module, name: str) -> bool:
    """Whether the function `name` is only announced: a signature, a docstring, `pass`, `...`, NotImplementedError."""
    node = definitions(tree).get(name) or method_of_solution(tree, name)
    return isinstance(node, Function) and all(map(_says_nothing, node.body))


def _says_nothing(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Raise(exc=ast.Name(id="NotImplementedError")):
            return True
        case ast.Raise(exc=ast.Call(func=ast.Name(id="NotImplementedError"))):
            return True
    return False


def does_something(tree: ast.Module) -> bool:
    """Whether there is more than names, numbers and texts, which any words and sample data may look like."""
    plain = (ast.Constant, ast.Name, ast.Tuple, ast.List, ast.UnaryOp, ast.USub, ast.UAdd, ast.Load, ast.Expr)
    return any(
        not isinstance(node, ast.Pass) and not all(isinstance(inner, plain) for inner in ast.walk(node))
        for node in tree.body
    )


def reads_input(tree: ast.Module) -> bool:
    """Whether the program mentions standard input."""
    return any(
        (isinstance(node, ast.Name) and node.id in _READS_INPUT)
        or (isinstance(node, ast.Attribute) and node.attr == "stdin")
        or (isinstance(node, ast.alias) and node.name in {"stdin", "fileinput"})
        for node in ast.walk(tree)
    )


def has_assertions(tree: ast.Module) -> bool:
    """Whether the code asserts anything, by a statement or a method of unittest."""
    return any(
        isinstance(node, ast.Assert) or (isinstance(node, ast.Attribute) and node.attr.startswith("assert"))
        for node in ast.walk(tree)
    )


def has_stray_return(tree: ast.Module) -> bool:
    """Whether there is a `return` outside any function, which the parser lets pass and the compiler does not."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            return True
        if isinstance(node, ast.stmt | ast.ExceptHandler) and not isinstance(node, Function):
            waiting += ast.iter_child_nodes(node)
    return False


def method_of_solution(tree: ast.Module, name: str) -> Function | None:
    """The method `name` of `class Solution`, which is how a well-known site has functions written."""
    node = definitions(tree).get("Solution")
    methods = node.body if isinstance(node, ast.ClassDef) else []
    return next((each for each in methods if isinstance(each, Function) and each.name == name), None)


# ---------------------------------------------------------------- changes


def strip_session_prompts(code: str) -> str:
    """What was typed in an interactive session, without its prompts and output; other code as it is."""
    if not is_session(code):
        return code
    typed = ((line, _TYPED.match(line)) for line in code.splitlines(keepends=True))
    return "".join(line[sign.end() :] for line, sign in typed if sign)


def is_session(code: str) -> bool:
    return code.lstrip().startswith((">>>", "In ["))


def is_typed(line: str) -> bool:
    """Whether the line has the sign before it that Python puts before what is typed in."""
    return _TYPED.match(line) is not None


def dedent_definition(code: str, name: str) -> str:
    """The code moved to the margin where a whole definition of `name` stands away from it; else as it is.

    Below a prompt's signature such code would define the function within itself and give nothing back.
    """
    moved = dedent(code)
    tree = parse(moved) if moved != code else None
    return moved if tree and name in bound_names(tree) else code


def dedent(code: str) -> str:
    """The code moved to the margin where it stands away from it, all of it or its first line by one blank, and is
    whole there; else as it is."""
    first = code.lstrip("\r\n")
    if first[:1].isspace() and len(code) <= MAX_REPAIRED_CHARS:
        for moved in (first[1:] if not first[1:2].isspace() else "", textwrap.dedent(first)):
            if moved and is_whole(moved):
                return moved
    return code


def preamble(prompt: str, name: str) -> str:
    """The part of the prompt above the definition of `name` and its decorators."""
    pattern = rf"^(?:@.*\n)*(?:async[ \t]+def|def|class)[ \t]+{re.escape(name)}\b"
    match = re.search(pattern, prompt, re.MULTILINE)
    return prompt[: match.start()] if match else ""


def restore_first_blank(prompt: str, code: str) -> str:
    """A body that has lost its first blank, as tokenizers lose it, with that blank; other code as it is. No more is
    put right outside a block: what a base model writes at the margin it may have meant to stand there."""
    if not code[:1].isspace() or code[:1] in "\t\r\n" or is_whole(prompt + code):
        return code
    return f" {code}" if is_whole(f"{prompt} {code}") else code


def indent_body(prompt: str, code: str) -> str:
    """The code of a block as it goes on from the prompt; indented anew where the two parse only so.

    A body's blanks are lost in three ways: the first one, those of the first line (it was stripped), all of them (the
    block shows the body at the margin). Tabs stay: Python refuses them below blanks, and so does every judge.
    """
    first = code.lstrip("\r\n")
    blanks = first[: len(first) - len(first.lstrip())]
    if not code.strip() or "\t" in blanks or len(blanks) > 7 or is_whole(prompt + code):
        return code
    stripped = [] if blanks else [f"    {first}"]
    for moved in (f" {first}", *stripped, textwrap.indent(textwrap.dedent(first), "    ")):
        if is_whole(prompt + moved):
            return moved
    return code


def assemble_program(prompt: str, name: str, code: str) -> str:
    """The program of a prompt and the code that answers it: what stands above `name` in the prompt where the code
    defines that itself, all of the prompt where it does not."""
    if not name:
        return hoist_future_imports(prompt + code)
    code = dedent_definition(code, name)
    tree = parse(code)
    if tree and name in definitions(tree):
        return hoist_future_imports(preamble(prompt, name) + code)
    if tree and name not in bound_names(tree) and method_of_solution(tree, name):
        return hoist_future_imports(
            f"{preamble(prompt, name)}{code.rstrip()}\n\n\n{name} = Solution().{name}\n"
        )
    return hoist_future_imports(prompt + code)


def is_whole(program: str) -> bool:
    """Whether the program, of MAX_REPAIRED_CHARS at most, parses and no statement of a function lies outside one."""
    tree = parse(program) if len(program) <= MAX_REPAIRED_CHARS else None
    return tree is not None and not has_stray_return(tree)


def hoist_future_imports(program: str) -> str:
    """The program with its `from __future__` imports at the top, where Python wants them."""
    if "__future__" not in program or (tree := parse(program)) is None:
        return program
    found = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    above = tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body
    if above[: len(found)] == found:
        return program
    lines = re.findall(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++\Z", program)
    names = []
    for node in found:
        last = lines[node.end_lineno - 1].encode() if node.end_lineno else b""
        if node.col_offset == 0 and not last[node.end_col_offset :].partition(b"#")[0].strip():
            names += [alias.name for alias in node.names]
            for number in range(node.lineno - 1, node.end_lineno or 0):
                lines[number] = ""
    return (
        f"from __future__ import {', '.join(dict.fromkeys(names))}\n" + "".join(lines) if names else program
    )
