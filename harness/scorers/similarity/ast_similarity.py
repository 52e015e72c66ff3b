"""How much of a reference's syntax tree an answer has, as multisets of node types; and whether it parses.

    ast_similarity            recall: the share of the reference's nodes that the answer has
    ast_similarity.precision  the share of the answer's nodes that the reference has (recall likes excess)
    ast_similarity.f1         their harmonic mean
    ast_similarity.excluded   the share of problems whose references Python cannot read; they are in no other

A node is its type: `Module` and the contexts (Load, Store, Del) do not count, names and constants are not
looked at. `ast_similarity_with` has two stricter readings. An answer that Python cannot read is worth 0. A
corpus value is the mean over problems of the mean over their samples. Of several references, the one with the
highest F1 counts. Node types are those of the running Python, which is in the signature.
"""

import ast
import hashlib
import sys
import warnings
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.text.ngrams import MAX_PARSED_CHARS, dedent, multiset_overlap

if TYPE_CHECKING:
    from harness.schema import Floats

Level = Literal["node", "subtree"]
Names = Literal["ignore", "keep"]


def parse_python(text: str) -> ast.Module | None:
    """The text's syntax tree; None if Python refuses it, if it is blank or longer than MAX_PARSED_CHARS.

    Python refuses more than wrong syntax: texts nested too deeply (RecursionError, MemoryError), a NUL, half
    a surrogate pair, integers of thousands of digits (ValueError).
    """
    if len(text) > MAX_PARSED_CHARS or not text.strip():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about the answer's code, "\d" or `x is 1` say
            return ast.parse(dedent(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _node_label(node: ast.AST, names: Names) -> tuple[Hashable, ...]:
    """The node's type, and with `keep` what is written in it: identifiers, constants, an import's level."""
    kind = type(node).__name__
    if names == "ignore":
        return (kind,)
    fields = [value for field, value in ast.iter_fields(node) if field != "kind" and value is not None]
    plain = [value for value in fields if not isinstance(value, list | ast.AST) or _only_texts(value)]
    # 1, 1.0 and True are equal and not the same.
    return (kind, *((type(v).__name__, tuple(v) if isinstance(v, list) else v) for v in plain))


def _only_texts(values: object) -> bool:
    """Whether this is a list of identifiers (`global a, b`), not of nodes."""
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)


def _counted(node: ast.AST) -> bool:
    return not isinstance(node, ast.expr_context)


def elements(root: ast.Module, level: Level = "node", names: Names = "ignore") -> Counter[Hashable]:
    """The multiset of the tree's nodes, or of its subtrees, without the root.

    A subtree is named by a digest of its label and its children's names, so equal trees have equal names and
    a deep tree costs no more than its nodes. No recursion: a tree may be deeper than Python's stack.
    """
    order, waiting = [], list(ast.iter_child_nodes(root))
    while waiting:
        node = waiting.pop()
        if _counted(node):
            order.append(node)
            waiting.extend(ast.iter_child_nodes(node))
    if level == "node":
        return Counter(_node_label(node, names) for node in order)
    named: dict[int, Hashable] = {}
    for node in reversed(order):  # children before their parents
        below = [named[id(child)] for child in ast.iter_child_nodes(node) if _counted(child)]
        named[id(node)] = _subtree_digest((_node_label(node, names), tuple(below)))
    return Counter(named[id(node)] for node in order)  # the parser uses one `Add` for all additions


def _subtree_digest(shape: tuple[Hashable, ...]) -> bytes:
    return hashlib.blake2b(_serialized(shape), digest_size=16).digest()


def _serialized(value: object) -> bytes:
    """A text that differs where values differ; `repr` of an int with thousands of digits is an error."""
    if isinstance(value, tuple):
        return b"(" + b",".join(_serialized(item) for item in value) + b")"
    if isinstance(value, int):
        return hex(value).encode()
    return repr(value).encode("utf-8", "backslashreplace")


@lru_cache(maxsize=256)
def _reference_elements(references: tuple[str, ...], level: Level, names: Names) -> list[Counter[Hashable]]:
    trees = [parse_python(reference) for reference in references]
    found = [elements(each_tree, level, names) for each_tree in trees if each_tree is not None]
    return [counter for counter in found if counter]


def recall_precision_f1(got: Counter[Hashable], wanted: Counter[Hashable]) -> tuple[float, float, float]:
    """(recall, precision, F1) of two multisets, the wanted one not empty."""
    same = multiset_overlap(got, wanted)
    recall, precision = same / wanted.total(), same / got.total() if got else 0.0
    return recall, precision, 2 * same / (wanted.total() + got.total())


def over_parsable(column: int) -> Reduce:
    """The mean over parsable problems of the mean over their samples; the last column says which are."""

    def per_problem(scores: "Floats") -> "Floats":
        import numpy as np

        return np.array([scores[:, column].mean(), scores[:, -1].mean()])

    def of_sum(sums: "Floats") -> "Floats":
        import numpy as np

        total, counted = sums[..., 0], sums[..., 1]
        return np.divide(total, counted, out=np.zeros_like(total), where=counted > 0)

    return Reduce(per_problem, of_sum)


def excluded_share() -> Reduce:
    """The share of problems that are not parsable."""

    def per_problem(scores: "Floats") -> "Floats":
        import numpy as np

        return np.array([1.0 - scores[:, -1].mean()])

    return Reduce(per_problem, lower_is_better=True)


def ast_similarity_with(level: Level = "node", names: Names = "ignore") -> Scorer:
    """`subtree` compares whole subtrees, `keep` has identifiers and constants count as part of a node."""
    name = "_".join(["ast_similarity", *["subtree"] * (level == "subtree"), *["names"] * (names == "keep")])

    def judge(problem: Problem, answer: str) -> Score:
        references = _reference_elements(reference_texts(problem), level, names)
        if not references:
            return Score(value=0.0, stats=(0.0, 0.0, 0.0), note="no reference is Python")
        parsed = parse_python(answer)
        got = elements(parsed, level, names) if parsed is not None else Counter[Hashable]()
        best = max((recall_precision_f1(got, wanted) for wanted in references), key=lambda three: three[2])
        return Score(value=best[0], stats=(best[1], best[2], 1.0))

    def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
        return {
            name: over_parsable(0),
            f"{name}.precision": over_parsable(1),
            f"{name}.f1": over_parsable(2),
            f"{name}.excluded": excluded_share(),
        }

    def signature(problems: Sequence[Problem]) -> str:
        return f"{name} {level} names:{names} {python_version()}"

    return Scorer(name=name, score=PerAnswer(judge), metrics=metrics, signature=signature)


def python_version() -> str:
    """What decides which texts have a tree, and of which nodes."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


ast_similarity = ast_similarity_with()
