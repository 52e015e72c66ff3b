"""Words, n-grams and BLEU's counts."""

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.text.ngrams import (
    bleu,
    clipped_matches,
    closest_length,
    collapse_whitespace,
    dedent,
    multiset_overlap,
    ngrams,
    reference_ngrams,
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
    there = reference_ngrams(references)
    found = ngrams(hypothesis, there.vocabulary)
    matches = clipped_matches(found, there)
    totals = [max(1, len(of_one)) for of_one in found]
    closest = closest_length(len(hypothesis), [len(reference) for reference in references])
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


@few
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_matches_are_those_of_crossing_out_grams_one_by_one(hypothesis, references):
    matches, totals, *_ = counts(hypothesis, references)
    for n in range(1, 5):
        own = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
        theirs = [[tuple(r[i : i + n]) for i in range(len(r) - n + 1)] for r in references]
        best = {g: max(r.count(g) for r in theirs) for g in own}
        crossed = 0
        for gram in own:
            if best[gram] > 0:
                best[gram] -= 1
                crossed += 1
        assert matches[n - 1] == crossed
        assert totals[n - 1] == max(1, len(own))


@few
@given(texts, texts)
def test_an_intersection_is_symmetric_and_no_larger_than_either_side(left, right):
    a, b = Counter(left), Counter(right)
    assert multiset_overlap(a, b) == multiset_overlap(b, a) == (a & b).total()


@few
@given(texts, st.lists(texts, min_size=1, max_size=3))
def test_bleu_lies_between_zero_and_one_and_is_one_for_a_long_enough_copy(hypothesis, references):
    assert 0.0 <= bleu(*counts(hypothesis, references)) <= 1.0
    if len(hypothesis) >= 4:
        assert bleu(*counts(hypothesis, [*references, hypothesis])) == pytest.approx(1.0)


def test_folding_leaves_single_spaces():
    assert collapse_whitespace("  a\n\t b  c ") == "a b c"
    assert words(" a\tb\n") == ["a", "b"]


def test_a_block_keeps_its_lines_in_line_when_its_indentation_goes():
    assert dedent("\n    if x:\n        y\n    z\n") == "if x:\n    y\nz"
    assert dedent("if x:\n    y\n") == "if x:\n    y"
