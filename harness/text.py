"""Words, n-grams and BLEU's counts: what the scorers that compare texts are made of. Pure; no tokeniser of a
model here.

BLEU is kept as counts per text (Papineni et al., 2002): matches and totals per n-gram length, and two
lengths. Counts are added over a corpus before they become a number, so a corpus value is `bleu` of the sums.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TypeVar

ORDER = 4  # BLEU-4: n-grams of one to four words
SMOOTHING = 0.1  # stands for a count of zero: method 1 of Chen and Cherry (2014), as CodeBLEU uses it
LONGEST = 100_000  # characters of an answer that BLEU and chrF look at: the n-grams of 100 MB need 100 GB


def words(text: str) -> list[str]:
    """The runs of characters between whitespace."""
    return text.split()


def fold(text: str) -> str:
    """The text with every run of whitespace made one space, and none at the ends."""
    return " ".join(text.split())


def unindent(text: str) -> str:
    """The text without blank ends and without the indentation that all its lines share.

    Unlike `strip`, this keeps the lines of an indented block in line with each other.
    """
    if text[:1].isspace():
        text = textwrap.dedent(text)
    return text.strip()


T = TypeVar("T")
Gram = tuple[str, ...]


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of one text: its length in words, and how often each occurs, one counter for each n from
    1."""

    length: int
    counts: tuple[Counter[Gram], ...]


def ngrams(tokens: Sequence[str], order: int = ORDER) -> Ngrams:
    counts = (Counter(zip(*(tokens[i:] for i in range(n)), strict=False)) for n in range(1, order + 1))
    return Ngrams(len(tokens), tuple(counts))


def closest_length(length: int, references: Sequence[int]) -> int:
    """The reference length nearest to `length`, the shorter of two equally near."""
    return min(references, key=lambda r: (abs(r - length), r))


def precision_counts(hypothesis: Ngrams, most: Sequence[Counter[Gram]]) -> tuple[list[int], list[int]]:
    """For each n: how many of the hypothesis' n-grams the references have, and how many there are (1 if
    none).

    `most` is `most_often(references)`; an n-gram counts at most that often ("clipped").
    """
    matches = [clipped(got, wanted) for got, wanted in zip(hypothesis.counts, most, strict=True)]
    return matches, [max(1, hypothesis.length - i) for i in range(len(most))]


def most_often(references: Sequence[Ngrams]) -> list[Counter[Gram]]:
    """For each n: how often each n-gram occurs in the reference that has it most often."""
    return [reduce(or_, of_one_length) for of_one_length in zip(*(r.counts for r in references), strict=True)]


def clipped(got: Mapping[T, int], wanted: Mapping[T, int]) -> int:
    """The size of the intersection of two multisets. One look-up an element: scoring is mostly this."""
    size, most = 0, wanted.get
    for element, count in got.items():
        limit = most(element)
        if limit is not None:
            size += count if count < limit else limit
    return size


def recall_counts(
    hypothesis: Ngrams, references: Sequence[Ngrams], weight: Callable[[str], float]
) -> tuple[list[float], list[float]]:
    """For each n: how many of the references' n-grams the hypothesis has, and how many there are (1 if
    fewer).

    Summed over the references. Single words count with their weight, longer n-grams as one.
    """
    matches, totals = [0.0] * len(hypothesis.counts), [0.0] * len(hypothesis.counts)
    for reference in references:
        got, wanted = hypothesis.counts[0], reference.counts[0].items()
        matches[0] += math.fsum([weight(gram[0]) * min(got[gram], n) for gram, n in wanted if gram in got])
        totals[0] += max(1.0, math.fsum([weight(gram[0]) * n for gram, n in wanted]))
        for i in range(1, len(matches)):
            matches[i] += clipped(hypothesis.counts[i], reference.counts[i])
            totals[i] += max(1, reference.length - i)
    return matches, totals


def bleu(matches: Sequence[float], totals: Sequence[float], length: float, reference_length: float) -> float:
    """BLEU of summed counts, 0..1: the geometric mean of the shares matched, times the penalty for being
    short.

    0 where no single word matches (which includes an empty text); any other count of zero becomes
    `SMOOTHING`.
    """
    if matches[0] <= 0 or length <= 0:
        return 0.0
    logs = (math.log((m if m > 0 else SMOOTHING) / t) for m, t in zip(matches, totals, strict=True))
    mean = math.fsum(logs) / len(matches)
    short = 0.0 if length > reference_length else 1.0 - reference_length / length
    return math.exp(short + mean)
