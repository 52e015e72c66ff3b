"""Words, n-grams and BLEU's counts."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.text import (
    bleu,
    clipped,
    closest_length,
    fold,
    most_often,
    ngrams,
    precision_counts,
    recall_counts,
    unindent,
    words,
)

few = settings(max_examples=80, deadline=None)
texts = st.lists(st.sampled_from("abc"), max_size=9)

# The example sentences of Papineni et al. (2002), as NLTK's documentation of `sentence_bleu` has them.
GUIDE = words(
    "It is a guide to action which ensures that the military always obeys the commands of the party"
)
GUIDES = [
    words("It is a guide to action that ensures that the military will forever heed Party commands"),
    words("It is the guiding principle which guarantees the military forces always")
    + words("being under the command of the Party"),
    words("It is the practical guide for the army always to heed the directions of the party"),
]
READ = words("he read the book because he was interested in world history")
READ_TURNED = words("he was interested in world history because he read the book")


def counts(hypothesis, references):
    grams = [ngrams(reference) for reference in references]
    matches, totals = precision_counts(ngrams(hypothesis), most_often(grams))
    closest = closest_length(len(hypothesis), [g.length for g in grams])
    return matches, totals, len(hypothesis), closest


def test_bleu_of_a_sentence_is_nltks():
    assert bleu(*counts(GUIDE, GUIDES)) == pytest.approx(0.5045666840058485)  # nltk 3.9, sentence_bleu


def test_bleu_of_a_corpus_is_nltks_and_comes_from_summed_counts():
    one, two = counts(GUIDE, GUIDES), counts(READ, [READ_TURNED])
    sums = [[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(one[:2], two[:2], strict=True)]
    assert bleu(*sums, one[2] + two[2], one[3] + two[3]) == pytest.approx(
        0.5920778868801042
    )  # nltk, corpus_bleu


def test_counts_of_zero_are_smoothed_to_a_tenth():
    # one of two words, no pair, nothing longer: (1/2 * .1/1 * .1/1 * .1/1) ** (1/4)
    assert bleu(*counts(["a", "b"], [["a", "c"]])) == pytest.approx(0.0005**0.25)


def test_without_one_common_word_bleu_is_zero():
    assert bleu(*counts(["a", "b"], [["c", "d"]])) == 0.0
    assert bleu(*counts([], [["c"]])) == 0.0


def test_a_short_text_is_penalised_by_the_nearest_reference():
    assert closest_length(12, [13, 2]) == 13
    assert closest_length(5, [4, 6]) == 4
    full, short = bleu([4, 3, 2, 1], [4, 3, 2, 1], 4, 4), bleu([4, 3, 2, 1], [4, 3, 2, 1], 4, 8)
    assert (full, short) == pytest.approx((1.0, math.exp(-1)))


def test_recall_weighs_words_and_sums_over_references():
    grams = [ngrams(words("return x")), ngrams(words("return y y"))]
    weight = {"return": 1.0}.get
    matches, totals = recall_counts(ngrams(words("return y")), grams, lambda word: weight(word, 0.2))
    assert matches == pytest.approx([1.0 + 1.2, 1, 0, 0])
    assert totals == pytest.approx([1.2 + 1.4, 1 + 2, 1 + 1, 1 + 1])


@few
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_precision_counts_are_those_of_crossing_out_grams_one_by_one(hypothesis, references):
    matches, totals, *_ = counts(hypothesis, references)
    for n in range(1, 5):
        grams = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
        wanted = [[tuple(r[i : i + n]) for i in range(len(r) - n + 1)] for r in references]
        best = {g: max(r.count(g) for r in wanted) for g in grams}
        crossed = 0
        for gram in grams:
            if best[gram] > 0:
                best[gram] -= 1
                crossed += 1
        assert matches[n - 1] == crossed
        assert totals[n - 1] == max(1, len(grams))


@few
@given(texts, texts)
def test_an_intersection_is_symmetric_and_no_larger_than_either_side(left, right):
    a, b = Counter(left), Counter(right)
    assert clipped(a, b) == clipped(b, a) == (a & b).total()


@few
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_bleu_lies_between_zero_and_one_and_is_one_for_a_long_enough_copy(hypothesis, references):
    assert 0.0 <= bleu(*counts(hypothesis, references)) <= 1.0
    if len(hypothesis) >= 4:
        assert bleu(*counts(hypothesis, [*references, hypothesis])) == pytest.approx(1.0)


def test_folding_leaves_single_spaces():
    assert fold("  a\n\t b  c ") == "a b c"
    assert words(" a\tb\n") == ["a", "b"]


def test_a_block_keeps_its_lines_in_line_when_its_indentation_goes():
    assert unindent("\n    if x:\n        y\n    z\n") == "if x:\n    y\nz"
    assert unindent("if x:\n    y\n") == "if x:\n    y"
