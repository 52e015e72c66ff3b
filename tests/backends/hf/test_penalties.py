"""Banned tokens and the count penalty, on literals."""

import math

import pytest
import torch

from harness.backends.hf.decoding.penalties import ban, banned_ids, count_penalty

TEXTS = ["a", " ", "\n", "b", "ab", "", "\t ", "a"]
LOGITS = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("banned", "expected"),
    [
        ([3], {3}),
        (["b"], {3}),
        (["a"], {0, 7}),  # every id that decodes to it
        ([" "], {1, 2, 6}),  # whitespace stands for all whitespace, and not for the empty text
        ([""], {5}),
        (["ab", 0, "ab"], {0, 4}),
        ([], set()),
    ],
)
def test_banned_tokens_are_given_as_ids_or_texts(banned: list[int | str], expected: set[int]) -> None:
    assert banned_ids(banned, TEXTS) == expected


def test_what_is_no_token_and_what_leaves_none_is_refused() -> None:
    for entry in (8, -1, "c", "a "):
        with pytest.raises(ValueError, match=r"no token .* among the 8"):
            banned_ids([entry], TEXTS)
    with pytest.raises(ValueError, match="all 8 tokens"):
        banned_ids(range(8), TEXTS)
    with pytest.raises(ValueError, match="all 3 tokens"):
        ban(LOGITS, range(3))


def test_a_banned_token_has_no_probability_and_the_others_keep_their_ratio() -> None:
    changed = ban(LOGITS, [2])
    probabilities = changed.softmax(-1)
    assert probabilities[:, 2].tolist() == [0.0, 0.0]
    assert (probabilities[0, 1] / probabilities[0, 0]).item() == pytest.approx(math.e)
    assert LOGITS[0, 2] == 3.0  # the given ones are left alone
    assert ban(LOGITS, []) is LOGITS


def test_the_count_penalty_divides_by_r_for_each_time_a_token_came() -> None:
    tokens = torch.tensor([[2, 2, 0], [1, 1, 1]])
    found = count_penalty(LOGITS, tokens, 2.0).softmax(-1)
    before = LOGITS.softmax(-1)
    divided = before / torch.tensor([[2.0, 1.0, 4.0], [1.0, 8.0, 1.0]])
    torch.testing.assert_close(found, divided / divided.sum(-1, keepdim=True))
    # 1/3, 1/3 / 8, 1/3, normalised
    assert found[1].tolist() == pytest.approx([8 / 17, 1 / 17, 8 / 17])


def test_one_is_no_penalty_and_less_is_a_reward() -> None:
    tokens = torch.tensor([[0], [0]])
    assert count_penalty(LOGITS, tokens, 1.0) is LOGITS
    assert count_penalty(LOGITS, tokens[:, :0], 2.0) is LOGITS
    assert count_penalty(LOGITS, tokens, 0.5)[0, 0] == pytest.approx(1 + math.log(2))
    for r in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="positive number"):
            count_penalty(LOGITS, tokens, r)


def test_the_count_penalty_is_not_transformers_repetition_penalty() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    ids = torch.tensor([[0, 0, 2, 2], [0, 1, 1, 1]])
    two = 2 * math.log(2)
    expected = torch.tensor([[1.0, 2.0, 3 - two], [0.0, -two, 0.0]])
    torch.testing.assert_close(count_penalty(LOGITS, ids[:, 2:], 2.0), expected)
    whole = count_penalty(LOGITS, ids, 2.0)
    assert whole[0, 0].item() == pytest.approx(1 - two)
    # transformers' own looks at whether a token came, not how often, and divides the logit
    theirs = RepetitionPenaltyLogitsProcessor(2.0)(ids, LOGITS.clone())
    assert theirs[0].tolist() == [0.5, 2.0, 1.5]
