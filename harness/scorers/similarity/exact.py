"""Exact match, three readings of it: to the letter, up to whitespace, up to everything the parser ignores.

`em@k` is the share of problems where any of the first k samples matches any reference (beams come best
first). The published tables count that way; a mean over the k samples would not give their integer counts.
Not here: cutting an answer out of a completion (harness/text/extract.py).
"""

import ast
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.text.ngrams import MAX_PARSED_CHARS, collapse_whitespace, dedent

COLUMNS = {"em": 0, "em_ws": 1, "em_ast": 2}


def dump_syntax(text: str) -> str | None:
    """The text's Python syntax tree, written out without positions; None if it has none or an empty one.

    So has a text of more than MAX_PARSED_CHARS. Besides SyntaxError, Python refuses texts that are nested
    too deeply (RecursionError, MemoryError), that hold a NUL or half a surrogate pair, or integers of thousands
    of digits (ValueError).
    """
    if len(text) > MAX_PARSED_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the answer's code, "\d" or `x is 1` say
            tree = ast.parse(dedent(text))
        return ast.dump(tree) if tree.body else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


_of_reference = lru_cache(maxsize=1024)(dump_syntax)  # not of answers: they differ, and may be long


def same_syntax(answer: str, references: Sequence[str]) -> bool:
    """Whether any reference has the answer's syntax tree, or its words where either has no tree."""
    trees = [_of_reference(reference) for reference in references]
    own = dump_syntax(answer)
    return any(
        collapse_whitespace(answer) == collapse_whitespace(reference)
        if own is None or other is None
        else own == other
        for reference, other in zip(references, trees, strict=True)
    )


def judge(problem: Problem, answer: str) -> Score:
    references = reference_texts(problem)
    text = answer.strip()
    if not text:
        return Score(value=0.0, stats=(0.0, 0.0))
    strict = any(text == reference.strip() for reference in references)
    short = len(text) <= MAX_PARSED_CHARS  # a longer one has to match to the letter
    folded = strict or (
        short and any(collapse_whitespace(text) == collapse_whitespace(reference) for reference in references)
    )
    parsed = strict or (short and same_syntax(answer, references))
    return Score(value=float(strict), stats=(float(folded), float(parsed)))


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import any_of_first

    return {f"{name}@{k}": any_of_first(k, column) for name, column in COLUMNS.items() for k in ks}


exact = Scorer(name="exact", score=PerAnswer(judge), metrics=metrics)
