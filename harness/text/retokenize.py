"""From one tokenizer's ids to another's: what a text of model A is to a judge that reads with tokenizer B.

    retokenize       T_b(T_a^-1(x)): decode with A, encode with B
    pad_or_truncate  the first L ids of B for each text, padded and masked where there are fewer
    length_ratios    how many ids B needs for one of A, and whether B's give the text back

A text has another length in B, so to have L ids of B one generates more of A than L: `overgenerated_length(L, k)`, k
times as many (4 is ample for most pairs), and cuts. Where that was too few the row is padded, and counted. Works with
any tokenizer of transformers, or anything that has its `encode` and `decode`; imports neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Protocol

from harness.errors import ConfigError


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    def decode(
        self, ids: Sequence[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool
    ) -> str: ...


@dataclass(frozen=True)
class PaddedIds:
    """`ids` and `mask` are [texts, length]; the mask is 0 on padding. `short` counts texts that were too short."""

    ids: tuple[tuple[int, ...], ...]
    mask: tuple[tuple[int, ...], ...]
    short: int


@dataclass(frozen=True)
class LengthRatios:
    """Of n texts that have ids in A: mean and median of |B| / |A|, and the share that B gives back to the letter."""

    mean: float
    median: float
    same_text: float
    n: int


def decode(ids: Sequence[int], tokenizer: Tokenizer) -> str:
    """The text, special tokens left out and nothing tidied."""
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def retokenize(ids: Sequence[int], a: Tokenizer, b: Tokenizer) -> list[int]:
    """B's ids of the text that A's ids stand for, without special tokens."""
    return b.encode(decode(ids, a), add_special_tokens=False)


def overgenerated_length(length: int, k: float = 4.0) -> int:
    """How many ids of A to generate for `length` of B: k times as many. Raises ConfigError below 1."""
    if length < 1 or not (k >= 1 and math.isfinite(k)):
        raise ConfigError(f"over-generation: length {length} and k {k}: both have to be at least 1")
    return math.ceil(k * length)


def pad_or_truncate(rows: Sequence[Sequence[int]], length: int, pad: int) -> PaddedIds:
    """The first `length` ids of each row; shorter rows are padded at their end, masked and counted."""
    if length < 1:
        raise ConfigError(f"a fixed length has to be at least 1, got {length}")
    missing = [max(0, length - len(row)) for row in rows]
    return PaddedIds(
        ids=tuple((*row[:length], *[pad] * gap) for row, gap in zip(rows, missing, strict=True)),
        mask=tuple((*[1] * (length - gap), *[0] * gap) for gap in missing),
        short=sum(gap > 0 for gap in missing),
    )


def length_ratios(rows: Sequence[Sequence[int]], a: Tokenizer, b: Tokenizer) -> LengthRatios:
    """How A's ids and B's compare over texts. Raises ConfigError where there is no text."""
    texts = [decode(row, a) for row in rows if row]
    lengths = [len(row) for row in rows if row]
    if not texts:
        raise ConfigError("ratios of two tokenizers need a text of at least one token")
    translated = [b.encode(text, add_special_tokens=False) for text in texts]
    shares = [len(ids) / length for ids, length in zip(translated, lengths, strict=True)]
    same = sum(decode(ids, b) == text for ids, text in zip(translated, texts, strict=True))
    return LengthRatios(fmean(shares), median(shares), same / len(texts), len(texts))
