"""The side of an assertion that a model was asked to complete (CRUXEval, Gu et al., 2024): `assert f(1) == 2`.

What is taken of the text are the benchmark's own rules, behind its mark [ANSWER] (or in a code block). Its reasoning,
[THOUGHT] ... [/THOUGHT], was taken off before.
"""

import ast

from harness.schema import Completion, Problem
from harness.text.extract import python_code
from harness.text.markdown import blocks


def asserted_value(problem: Problem, completion: Completion) -> str:
    """The value: what stands behind `==`, or the whole text."""
    del problem
    if completion.form == "program":  # the expression itself
        return completion.text.strip()
    text = _answer(completion)
    before, equals, behind = text.partition("==")
    return (behind.partition("==")[0] if equals else before).strip()


def asserted_call(problem: Problem, completion: Completion) -> str:
    """The call: what stands before `==`, from `f` on."""
    del problem
    if completion.form == "program":
        return completion.text.strip()
    before = _answer(completion).partition("==")[0].strip()
    _, asserts, call = before.partition("assert f")
    return f"f{call.partition('assert f')[0]}".strip() if asserts else before


def compared_expression(text: str) -> tuple[str, ast.expr] | None:
    """What `assert EXPECTED == text` compares with EXPECTED, as text and tree; None where that is no such comparison.

    So a message behind a comma is no part of it, and `1 or True` is not an answer that is always right.
    """
    source = f"assert None == {text}"
    tree = python_code.parse(source)
    first = tree.body[0] if tree else None
    compared = first.test if isinstance(first, ast.Assert) else None
    if not isinstance(compared, ast.Compare) or len(compared.ops) != 1:
        return None
    expression = compared.comparators[0]
    return ast.get_source_segment(source, expression) or text, expression


def _answer(completion: Completion) -> str:
    text = completion.text
    if completion.form != "output":
        return text
    text = text.partition("[ANSWER]")[2] if "[ANSWER]" in text else text
    text = text.partition("[/ANSWER]")[0]
    found = blocks(text)
    if not found:
        return text
    block = next((each for each in found if each.language in {"", "python"}), found[0])
    return text[block.start : block.end]
