"""ast_similarity and parse_rate: multisets of a tree's nodes, against counts made by hand."""

import ast
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import scorers
from harness.schema import Problem, Reference, Score, Scorer
from harness.scorers.similarity.ast_similarity import MAX_PARSED_CHARS, elements, parse_python
from harness.stats.estimates import estimate

few = settings(max_examples=80, deadline=None)

SINE = "f = 10*sin(x**2)"
COSINE = "g = 3*cos(y**2)"
PRINTED = f"{SINE}\nprint(f)"
PYTHON_2 = "print 'x'"

node = scorers.ast_similarity
subtree = scorers.ast_similarity_with("subtree")
named = scorers.ast_similarity_with("node", "keep")
strict = scorers.ast_similarity_with("subtree", "keep")


def problem(*references: str) -> Problem:
    return Problem(id="t/0", question="", solution=references[0], check=Reference(texts=references))


def scored(scorer: Scorer, answer: str, *references: str) -> Score:
    (verdict,) = scorer.score([(problem(*references), answer)], None)
    assert verdict.status == "scored"
    assert verdict.score is not None
    return verdict.score


def figures(scorer: Scorer, answer: str, *references: str) -> tuple[float, float, float]:
    """(recall, precision, F1)"""
    score = scored(scorer, answer, *references)
    return score.value, score.stats[0], score.stats[1]


# ---------------------------------------------------------------- one answer


@pytest.mark.parametrize("scorer", [node, subtree, named, strict], ids=lambda s: s.name)
def test_the_reference_with_a_line_left_out(scorer: Scorer) -> None:
    # Assign, 3 Name, 2 BinOp, 2 Constant, Call, Mult, Pow: 11; the print adds Expr, Call and 2 Name
    assert figures(scorer, SINE, PRINTED) == pytest.approx((11 / 15, 1.0, 22 / 26))
    assert figures(scorer, PRINTED, SINE) == pytest.approx((1.0, 11 / 15, 22 / 26))


def test_other_names_are_the_same_tree_unless_names_are_kept() -> None:
    assert figures(node, COSINE, SINE) == (1.0, 1.0, 1.0)
    assert figures(subtree, COSINE, SINE) == (1.0, 1.0, 1.0)
    # kept: Assign, 2 BinOp, Call, Mult, Pow and the constant 2 are the same; 3 names and 10 are not
    assert figures(named, COSINE, SINE)[0] == pytest.approx(7 / 11)
    # whole subtrees with names: only Mult, Pow and the constant 2
    assert figures(strict, COSINE, SINE)[0] == pytest.approx(3 / 11)


def test_order_counts_only_for_subtrees() -> None:
    assert figures(node, "f(a, 1)", "f(1, a)")[0] == 1.0
    # of Expr, Call, 2 Name and Constant the leaves are the same, and Expr and Call hold another order
    assert figures(subtree, "f(a, 1)", "f(1, a)")[0] == pytest.approx(3 / 5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "True"),
        ("1", "1.0"),
        ("'a'", "b'a'"),
        ("None", "..."),
        ("x.a", "x.b"),
        ("f(a=1)", "f(b=1)"),
        ("def f(a): pass", "def g(a): pass"),
        ("def f(a): pass", "def f(b): pass"),
        ("global a, b", "global a, c"),
        ("import a.b", "import a.c"),
        ("from . import a", "from .. import a"),
        ("f'{a!r}'", "f'{a!s}'"),
        ("try: pass\nexcept E as a: pass", "try: pass\nexcept E as b: pass"),
        ("0x" + "1" * 5000, "0x" + "1" * 4999 + "2"),
    ],
)
@pytest.mark.parametrize("scorer", [named, strict], ids=lambda s: s.name)
def test_kept_names_tell_texts_apart(scorer: Scorer, one: str, other: str) -> None:
    assert figures(scorer, one, one)[0] == 1.0
    assert figures(scorer, one, other)[0] < 1.0


def test_spelling_that_the_parser_drops_is_not_seen() -> None:
    assert figures(strict, "x=('a')  # comment", 'x = "a"') == (1.0, 1.0, 1.0)
    assert figures(strict, "u'a'", "'a'") == (1.0, 1.0, 1.0)
    assert figures(strict, "    return 1\n    # end", "return 1") == (1.0, 1.0, 1.0)


def test_of_several_references_the_most_similar_counts() -> None:
    assert figures(node, "f(a)", "import x", "f(a)", PYTHON_2) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("reference", [PYTHON_2, "# nothing", "(", "\0"])
def test_a_reference_without_a_tree_excludes_the_problem(reference: str) -> None:
    score = scored(node, "x = 1", reference)
    assert (score.value, score.stats, score.note) == (0.0, (0.0, 0.0, 0.0), "no reference is Python")


@pytest.mark.parametrize("answer", ["", " \n", "# nothing", PYTHON_2, "def"])
def test_an_answer_without_a_tree_is_worth_nothing(answer: str) -> None:
    assert figures(node, answer, SINE) == (0.0, 0.0, 0.0)
    assert scored(node, answer, SINE).stats[-1] == 1.0


HOSTILE = [
    " + ".join(["x"] * 3000),
    "(" * 20_000,
    "-" * 100_000 + "1",
    "not " * 50_000 + "x",
    "x = 1\0",
    "x = '\ud800'",
    "x = " + "9" * 6000,
    "x = " + "[" * 190 + "]" * 190,
    "if x:\n" + "\n".join(" " * i + "if x:" for i in range(1, 120)),
    "\x0c\ufeff\u202e",
    "y" * 20_000_000,
    "x = 1\n" * (MAX_PARSED_CHARS // 6 + 1),
    "f" + "(1)" * 5000,
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_are_scored(answer: str) -> None:
    for scorer in (node, strict, scorers.parse_rate):
        assert 0.0 <= scored(scorer, answer, SINE).value <= 1.0


def test_a_tree_deeper_than_pythons_stack_is_gone_through() -> None:
    deep: ast.expr = ast.Constant(1)
    for _ in range(50_000):
        deep = ast.UnaryOp(ast.USub(), deep)
    root = ast.Module([ast.Expr(deep)], [])
    assert elements(root).total() == 100_002
    assert len(elements(root, "subtree", "keep")) == 50_003
    while isinstance(deep, ast.UnaryOp):  # or freeing it would need the stack
        deep = deep.operand


# ---------------------------------------------------------------- the corpus


def test_a_corpus_is_the_mean_over_problems_of_the_mean_over_samples_without_the_excluded() -> None:
    scores = [
        np.array([[1.0, 0.5, 0.6, 1.0], [0.0, 0.0, 0.0, 1.0]]),
        np.array([[0.2, 0.4, 0.3, 1.0]]),
        np.array([[0.0, 0.0, 0.0, 0.0]]),
    ]
    values = {name: estimate(reduce, scores).value for name, reduce in node.metrics([1]).items()}
    assert values == pytest.approx(
        {
            "ast_similarity": 0.35,
            "ast_similarity.precision": 0.325,
            "ast_similarity.f1": 0.3,
            "ast_similarity.excluded": 1 / 3,
        }
    )


def test_where_every_problem_is_excluded_the_value_is_zero_and_the_exclusion_one() -> None:
    metrics = node.metrics([1])
    scores = [np.zeros((1, 4))] * 3
    assert estimate(metrics["ast_similarity"], scores).value == 0.0
    assert estimate(metrics["ast_similarity.excluded"], scores).value == 1.0


def test_the_interval_holds_when_resamples_may_exclude_all() -> None:
    scores = [np.array([[0.5, 0.5, 0.5, 1.0]]), np.zeros((1, 4))]
    found = estimate(node.metrics([1])["ast_similarity"], scores)
    assert (found.low, found.value, found.high) == (0.0, 0.5, 0.5)


def test_the_signatures_name_reading_and_python() -> None:
    assert node.signature is not None
    assert strict.signature is not None
    assert node.signature([]).startswith("ast_similarity node names:ignore python3.")
    assert strict.signature([]).startswith("ast_similarity_subtree_names subtree names:keep python3.")


# ---------------------------------------------------------------- properties

programs = st.recursive(
    st.sampled_from(["a", "b", "1", "'s'", "None"]),
    lambda inner: st.builds("({} + {})".format, inner, inner) | st.builds("f({}, k={})".format, inner, inner),
    max_leaves=8,
)


@few
@given(programs, programs)
def test_recall_and_precision_change_places_with_the_texts(one: str, other: str) -> None:
    for scorer in (node, subtree, named, strict):
        there, back = figures(scorer, one, other), figures(scorer, other, one)
        assert there == pytest.approx((back[1], back[0], back[2]))
        assert figures(scorer, one, one) == (1.0, 1.0, 1.0)


@few
@given(programs)
def test_elements_are_the_nodes_that_a_walk_meets(text: str) -> None:
    root = parse_python(text)
    assert root is not None
    walked = Counter(
        (type(n).__name__,) for n in ast.walk(root) if not isinstance(n, ast.expr_context | ast.Module)
    )
    assert elements(root) == walked
    dumped = Counter(ast.dump(n) for n in ast.walk(root) if not isinstance(n, ast.expr_context | ast.Module))
    found = elements(root, "subtree", "keep")
    assert sorted(found.values()) == sorted(dumped.values())


@few
@given(st.text(max_size=40))
def test_any_text_is_scored(text: str) -> None:
    for scorer in (node, strict, scorers.parse_rate):
        assert 0.0 <= scored(scorer, text, SINE).value <= 1.0
        assert 0.0 <= scored(scorer, SINE, text).value <= 1.0


# ---------------------------------------------------------------- parse_rate


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("x = 1", 1.0),
        ("    x = 1\n    y = 2", 1.0),
        ("# only a comment", 1.0),
        ("return 1", 1.0),
        (r"'\d'", 1.0),
        ("", 0.0),
        (" \n\t", 0.0),
        (PYTHON_2, 0.0),
        ("Sure! Here is the code:", 0.0),
        ("x = (1", 0.0),
    ],
)
def test_what_parses(answer: str, expected: float) -> None:
    assert scored(scorers.parse_rate, answer, "x").value == expected


def test_parse_rate_is_the_mean_over_problems_and_needs_no_reference() -> None:
    metrics = scorers.parse_rate.metrics([1])
    scores = [np.array([[1.0], [0.0]]), np.array([[1.0], [1.0]])]
    assert estimate(metrics["parse_rate"], scores).value == 0.75
    nothing = Problem(id="t/1", question="", solution="", check=Reference(texts=()))
    (verdict,) = scorers.parse_rate.score([(nothing, "x")], None)
    assert verdict.score == Score(value=1.0)
