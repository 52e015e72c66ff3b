"""Comments that a model added to given code: is the code still the same, and is anything said about it.

An answer counts (`commented`) if its syntax tree is that of the given code, docstrings and other strings that stand
alone left out of both, and it has a comment or such a string that the given code does not have. Whether the comments
are any good their form does not say: for that a rater compares several runs (harness/results/preference.py),
and an answer that does not count cannot win there.
"""

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.scorers.similarity.ast_similarity import over_parsable, parse_python, python_version
from harness.text.ngrams import dedent


def dump_without_docstrings(text: str) -> str | None:
    """The text's syntax tree without strings that stand alone, written out; None where Python cannot read it.

    A body that held nothing else becomes `pass`, so that a docstring may take the place of one.
    """
    parsed = parse_python(text)
    if parsed is None:
        return None
    for node in ast.walk(parsed):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list) and body:
                setattr(
                    node, field, [kept for kept in body if not _is_string_statement(kept)] or [ast.Pass()]
                )
    try:
        return ast.dump(parsed)
    except RecursionError:
        return None


_of_given = lru_cache(maxsize=256)(dump_without_docstrings)  # not of answers: they differ, and may be long


def _is_string_statement(node: ast.AST) -> bool:
    match node:
        case ast.Expr(ast.Constant(str())):
            return True
    return False


def comment_texts(text: str) -> Counter[str]:
    """The comments and the strings standing alone of a text that Python can read, each without its marks."""
    parsed = parse_python(text)
    assert parsed is not None
    strings = [
        " ".join(node.value.value.split())
        for node in ast.walk(parsed)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    found = [*strings, *(comment.lstrip("#").strip() for _, comment in _comments(text))]
    return Counter(remark for remark in found if remark)


def _comments(text: str) -> list[tuple[int, str]]:
    """(line, comment) of each; those before the first thing the tokeniser cannot read, where there is one."""
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(dedent(text)).readline):
            if token.type == tokenize.COMMENT:
                found.append((token.start[0], token.string))
    except (tokenize.TokenError, SyntaxError):
        pass
    return found


def comment_density(text: str) -> float:
    """The share of a readable text's lines, blank ones aside, that hold a comment or part of a string alone."""
    parsed = parse_python(text)
    assert parsed is not None
    lines = {number for number, _ in _comments(text)}
    for node in ast.walk(parsed):
        if isinstance(node, ast.Expr) and _is_string_statement(node):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    filled = [number for number, line in enumerate(dedent(text).split("\n"), 1) if line.strip()]
    return sum(number in lines for number in filled) / len(filled)


def judge(problem: Problem, answer: str) -> Score:
    """Stats: whether the code was kept, the density of comments in it, and again whether it was kept."""
    code = dump_without_docstrings(answer)
    same = [text for text in reference_texts(problem) if _of_given(text) == code]
    given = same if code is not None else []
    if not given:
        return Score(value=0.0, stats=(0.0, 0.0, 0.0))
    new = comment_texts(answer) - comment_texts(given[0])
    return Score(value=float(bool(new)), stats=(1.0, comment_density(answer), 1.0))


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"commented": mean_of(), "code_kept": mean_of(1), "comment_density": over_parsable(2)}


def signature(problems: Sequence[Problem]) -> str:
    return f"comments {python_version()}"


comments = Scorer(name="comments", score=PerAnswer(judge), metrics=metrics, signature=signature)
