"""CodeBLEU beside a second reading of its definition."""

import numpy as np
import pytest

from harness import scorers
from harness.scorers.similarity import codebleu
from harness.stats.estimates import estimate
from harness.text import python_dataflow, python_tree
from tests.support import codebleu_reference
from tests.support.parts.codebleu_values import LOOP, PARTS, corpus, one, problem


def test_every_part_is_that_of_a_second_reading_of_the_definition():
    for reference, answer in codebleu_reference.pairs(200, seed=1):
        got = one(answer, reference)
        assert got["ngram"] == pytest.approx(codebleu_reference.bleu(reference, answer), abs=1e-9)
        assert got["weighted"] == pytest.approx(codebleu_reference.weighted(reference, answer), abs=1e-9)
        assert got["syntax"] == pytest.approx(codebleu_reference.syntax(reference, answer), abs=1e-9), (
            reference,
            answer,
        )
        assert got["dataflow"] == pytest.approx(codebleu_reference.dataflow(reference, answer), abs=1e-9), (
            reference,
            answer,
        )
        assert got["codebleu"] == pytest.approx(sum(got[part] for part in PARTS) / 4)


def test_recall_weighs_words_and_sums_over_references():
    stats = codebleu.counts("return y", ("return x", "return y y"))
    assert stats[codebleu.RECALLED] == pytest.approx((1.0 + 1.2, 1, 0, 0))
    assert stats[codebleu.WANTED] == pytest.approx((1.2 + 1.4, 1 + 2, 1 + 1, 1 + 1))


@pytest.mark.parametrize(
    "code",
    [
        "def f(c, x):\n    if c:\n        x = 1\n    return x",  # the parameter may reach the end
        "def f(c, x):\n    if c:\n        x = 1\n    else:\n        x = 2\n    return x",  # it cannot
        "def f(c, x):\n    if c:\n        x = 1\n    elif x:\n        x = 2\n    return x",
        "for i in y:\n    c = a + a\nd = b + b",  # twice the same source, inside a loop and out
        "while a:\n    print(b)\n    b = c\n    c = a",  # what the body defines reaches its start
        "for i in x:\n    for j in i:\n        s = s + t\n        t = j\nelse:\n    t = s",
        "[y for x in z for y in x if y]",
        "f = lambda a, b=c, d=1: a + b",
        "a.b = c.d\na[i], (b, c) = f(x), y\nx: int\ny: int = x\nz += y",
        "a = b = c = a",
        "[x for x in y][x] = x",
        "'a' % b\nx.name = 'abc'\nwith open(p) as q:\n    r = q",
    ],
)
def test_the_data_flow_of_each_construct_is_that_of_the_second_reading(code):
    triples = python_dataflow.data_flow(python_tree.parse_source(code, lambda shape: None))
    same = {"comes from": "uses", "computed from": "made of"}
    assert {
        (v, same[relation], by): n for (v, relation, by), n in triples.items()
    } == codebleu_reference.triples(code)


def test_thousands_of_branches_cost_what_they_change(monkeypatch):
    """Each `if` used to copy and merge every name seen before it: four times the work for twice the branches."""
    defined = []
    define = python_dataflow.DataFlowWalk.define
    monkeypatch.setattr(
        python_dataflow.DataFlowWalk, "define", lambda flow, *to: (defined.append(to), define(flow, *to))
    )
    code = "".join(f"if c{i}:\n    v{i} = w{i}\n" for i in range(2000))
    triples = python_dataflow.data_flow(python_tree.parse_source(code, lambda shape: None))
    assert triples.total() == 2 * 2000
    assert len(defined) == 6 * 2000  # c, v, w: once where they stand, once where the branches meet


def test_subtrees_of_broken_code_are_those_of_the_second_reading():
    texts = [
        "x.",
        "f(a, b",
        "f(a b)",
        "if x\n    y",
        "def f(:\n pass",
        "a $ b",
        "a ? b",
        "x = = 1",
        "import",
        "[a,,b]",
    ]
    texts += [
        "x.y",
        "f(a, b)",
        "if x:\n    y",
        "a = b",
        "lambda x",
        "@",
        "class :",
        "x = (1, ",
        "f(a, b=)",
        "del",
    ]
    for reference in texts:
        for answer in texts:
            expected = codebleu_reference.syntax(reference, answer)
            assert one(answer, reference)["syntax"] == pytest.approx(expected), (reference, answer)


def test_the_second_reading_prints_shapes_as_tree_sitter_does():
    for code in codebleu_reference.SNIPPETS:
        if "#" not in code and '"""' not in code and "'''" not in code:
            read = codebleu_reference.Reading(code)
            assert read.shape(read.root) == str(read.root)


def test_identical_code_with_a_data_flow_scores_one():
    for code in codebleu_reference.SNIPPETS:
        if len(code.split()) >= 4 and codebleu_reference.triples(code):
            assert one(code, code)["codebleu"] == pytest.approx(1.0), code


def test_a_data_flow_worked_out_by_hand():
    # x=1: x (var 1) is made of 1 (var 0), and 1 stands there; y=x+x: y (2) is made of x twice, each x uses x.
    assert codebleu_reference.triples("x = 1\ny = x + x") == {
        (1, "made of", (0,)): 1,
        (0, "uses", ()): 1,
        (2, "made of", (1, 1)): 1,
        (1, "uses", (1,)): 2,
    }
    assert one("a = 1\nb = a + a", "x = 1\ny = x + x")["dataflow"] == 1.0  # renaming changes nothing
    assert one("x = 1\ny = x + z", "x = 1\ny = x + x")["dataflow"] == pytest.approx(3 / 5)


def test_a_corpus_value_comes_from_summed_counts_and_is_no_mean():
    short, long = ("x = 1", "y = 2"), (LOOP, LOOP)
    both = corpus(scorers.codebleu, [short, long])
    # triples: 2 of 2 and 9 of 9; subtrees: 3 of 3 and 12 of 12 (tree-sitter-python 0.21)
    assert both["dataflow"] == 1.0
    mean = (one(*reversed(short))["ngram"] + one(*reversed(long))["ngram"]) / 2
    assert both["ngram"] != pytest.approx(mean, abs=0.01)


def test_smoothing_sees_the_whole_corpus_and_not_its_mean():
    # one word of two matches in each of ten problems, no pair: (10/20 * .1/10 * .1/10 * .1/10) ** (1/4)
    ten = corpus(scorers.codebleu, [("a b", "a c")] * 10)
    assert ten["ngram"] == pytest.approx((0.5 * 0.01**3) ** 0.25)


def test_only_the_first_sample_of_a_problem_counts():
    verdicts = scorers.codebleu.score([(problem(LOOP), LOOP), (problem(LOOP), "nothing")], None)
    scores = [np.array([[v.score.value, *v.score.stats] for v in verdicts])]
    assert estimate(scorers.codebleu.metrics([1, 2])["codebleu"], scores).value == pytest.approx(1.0)


def test_several_references_are_summed_over():
    both = one("x = 1", "x = 1", LOOP)
    assert both["syntax"] < one("x = 1", "x = 1")["syntax"]
    assert both["ngram"] == one("x = 1", "x = 1")["ngram"]  # precision takes the best reference


@pytest.mark.parametrize(("rule", "expected"), [("zero", 0.75), ("one", 1.0), ("renormalise", 1.0)])
def test_references_without_data_flow_follow_the_rule_that_was_chosen(rule, expected):
    scorer = scorers.codebleu_with(rule)
    code = "import os , sys , re"
    assert one(code, code, scorer=scorer)[scorer.name] == pytest.approx(expected)
    with_flow = one(LOOP, LOOP, scorer=scorer)
    assert with_flow[scorer.name] == pytest.approx(1.0)
