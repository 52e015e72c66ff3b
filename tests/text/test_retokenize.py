"""Translation between tokenizers: on letters against words by hand, and between two real tokenizers."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.text.retokenize import (
    LengthRatios,
    PaddedIds,
    decode,
    length_ratios,
    overgenerated_length,
    pad_or_truncate,
    retokenize,
)
from tests.support.tiny_models import CORPUS, make_tokenizer


class Letters:
    """One id a character; 0 is special."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(c) for c in text]

    def decode(
        self, ids: Sequence[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str:
        assert skip_special_tokens
        assert not clean_up_tokenization_spaces
        return "".join(chr(i) for i in ids if i)


class Pairs(Letters):
    """One id for two characters; an odd one at the end is lost."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(a) * 1000 + ord(b) for a, b in zip(text[::2], text[1::2], strict=False)]

    def decode(
        self, ids: Sequence[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str:
        return "".join(chr(i // 1000) + chr(i % 1000) for i in ids)


def ids(text: str) -> list[int]:
    return [ord(c) for c in text]


def test_a_text_goes_from_one_tokenizer_to_the_other_without_special_tokens() -> None:
    assert retokenize([97, 0, 98, 99, 100], Letters(), Pairs()) == [97098, 99100]
    assert retokenize([97098], Pairs(), Letters()) == [97, 98]


def test_rows_are_cut_or_padded_masked_and_counted() -> None:
    found = pad_or_truncate([[1, 2, 3], [4, 5], []], 2, pad=9)
    assert found == PaddedIds(ids=((1, 2), (4, 5), (9, 9)), mask=((1, 1), (1, 1), (0, 0)), short=1)
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        pad_or_truncate([[1]], 0, pad=9)


def test_over_generation_is_k_times_the_length() -> None:
    assert (overgenerated_length(128), overgenerated_length(10, 1.25), overgenerated_length(1, 1)) == (
        512,
        13,
        1,
    )
    for length, k in ((0, 4.0), (1, 0.5), (1, float("inf")), (1, float("nan"))):
        with pytest.raises(ConfigError, match="over-generation"):
            overgenerated_length(length, k)


def test_ratios_by_hand() -> None:
    found = length_ratios([ids("abcd"), ids("abc"), [], ids("ab")], Letters(), Pairs())
    assert found == LengthRatios(
        mean=pytest.approx((0.5 + 1 / 3 + 0.5) / 3), median=0.5, same_text=2 / 3, n=3
    )
    with pytest.raises(ConfigError, match="at least one token"):
        length_ratios([[]], Letters(), Letters())


def test_two_tokenizers_of_transformers_agree_on_texts_they_can_write() -> None:
    a, b = make_tokenizer("llama"), make_tokenizer("codegen")
    rows = [a.encode(text, add_special_tokens=False) for text in CORPUS]
    assert [decode(retokenize(row, a, b), b) for row in rows] == list(CORPUS)
    assert length_ratios(rows, a, a) == LengthRatios(1.0, 1.0, 1.0, len(CORPUS))
    long = [retokenize(row * 4, a, b) for row in rows]
    assert pad_or_truncate(long, 8, pad=0).short == 0


@given(st.lists(st.lists(st.integers(0, 9), max_size=9), max_size=5), st.integers(1, 8))
def test_every_row_has_the_length_and_as_many_ids_as_its_mask_says(
    rows: list[list[int]], length: int
) -> None:
    found = pad_or_truncate(rows, length, pad=77)
    assert all(len(row) == length for row in (*found.ids, *found.mask))
    for row, own, mask in zip(rows, found.ids, found.mask, strict=True):
        assert list(own[: sum(mask)]) == row[:length]
        assert set(own[sum(mask) :]) <= {77}
