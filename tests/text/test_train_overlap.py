"""Overlap with a training set, and diversity: against definitions spelled out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.text.diversity import distinct_n, type_token_ratio
from harness.text.train_overlap import Overlap, overlap

few = settings(max_examples=150, deadline=None)

TRAINING = [list("tcsotm"), list("adsoal")]


# ---------------------------------------------------------------- overlap


def test_shared_grams_longest_run_and_copies_by_hand() -> None:
    answers = [
        list("tcsotm"),  # the whole of a training text
        list("dsotm"),  # sotm; dso
        list("cso"),  # part of one: no copy
        list("xy"),
        [],
    ]
    assert overlap(answers, TRAINING, n=3) == [
        Overlap(ngrams=4, shared=4, longest=6, copy=True),
        Overlap(ngrams=3, shared=3, longest=4, copy=False),
        Overlap(ngrams=1, shared=1, longest=3, copy=False),
        Overlap(ngrams=0, shared=0, longest=0, copy=False),
        Overlap(ngrams=0, shared=0, longest=0, copy=False),
    ]


def test_no_run_crosses_from_one_training_text_to_the_next() -> None:
    (found,) = overlap([list("mad")], TRAINING, n=2)
    assert found == Overlap(ngrams=2, shared=1, longest=2, copy=False)


def test_thirteen_tokens_are_the_default() -> None:
    text = list(range(20))
    (found,) = overlap([text], [text[3:16]])
    assert found == Overlap(ngrams=8, shared=1, longest=13, copy=False)
    (found,) = overlap([text], [text[3:15]])
    assert found == Overlap(ngrams=8, shared=0, longest=12, copy=False)


def contains(text: list[str], run: list[str]) -> bool:
    return any(text[i : i + len(run)] == run for i in range(len(text) - len(run) + 1))


def defined(answer: list[str], training: list[list[str]], n: int) -> Overlap:
    runs = [answer[i:j] for i in range(len(answer)) for j in range(i + 1, len(answer) + 1)]
    present = [run for run in runs if any(contains(text, run) for text in training)]
    grams = [answer[i : i + n] for i in range(len(answer) - n + 1)]
    return Overlap(
        ngrams=len(grams),
        shared=sum(gram in present for gram in grams),
        longest=max(map(len, present), default=0),
        copy=bool(answer) and answer in training,
    )


texts = st.lists(st.lists(st.sampled_from("abc"), max_size=9), max_size=6)


@few
@given(texts, texts, st.integers(1, 4))
def test_overlap_is_what_its_definition_says(
    answers: list[list[str]], training: list[list[str]], n: int
) -> None:
    assert overlap(answers, training, n) == [defined(answer, training, n) for answer in answers]


def test_the_training_set_is_read_once_and_may_be_large() -> None:
    answers = [[(i * j) % 97 for j in range(60)] for i in range(100)]
    training = ([(i * j) % 89 for j in range(50)] for i in range(4000))
    found = overlap(answers, training)
    assert len(found) == 100
    assert list(training) == []


def test_overlap_refuses_what_has_no_meaning() -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        overlap([["a"]], [], n=0)


# ---------------------------------------------------------------- diversity


def test_distinct_n_by_hand() -> None:
    corpus = [list("abab"), list("ab")]
    assert distinct_n(corpus, 1) == pytest.approx(2 / 6)
    assert distinct_n(corpus, 2) == pytest.approx(2 / 4)  # ab, ba of ab, ba, ab, ab
    assert distinct_n(corpus, 3) == 1.0
    assert distinct_n(corpus, 5) == 0.0
    assert distinct_n([], 1) == 0.0


def test_the_type_token_ratio_falls_with_length() -> None:
    assert type_token_ratio([[1, 2, 3, 4]]) == 1.0
    assert type_token_ratio([[1, 2, 3, 4]] * 50) == 4 / 200


def test_diversity_refuses_lengths_below_one() -> None:
    with pytest.raises(ValueError, match="got 0"):
        distinct_n([], 0)
