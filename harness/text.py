"""Words, n-grams and BLEU's counts: what the scorers that compare texts are made of. Pure; no tokeniser of a
model here.

BLEU is kept as counts per text (Papineni et al., 2002): matches and totals per n-gram length, and two
lengths. Counts are added over a corpus before they become a number, so a corpus value is `bleu` of the sums.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ORDER = 4  # BLEU-4: n-grams of one to four words
SMOOTHING = 0.1  # stands for a count of zero: method 1 of Chen and Cherry (2014), as CodeBLEU uses it


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


@dataclass(frozen=True)
class Ngrams:
    """The n-grams of one text: its length in words, and how often each occurs, one counter for each n from
    1."""

    length: int
    counts: tuple[Counter[tuple[str, ...]], ...]


def ngrams(tokens: Sequence[str], order: int = ORDER) -> Ngrams:
    counts = (Counter(zip(*(tokens[i:] for i in range(n)), strict=False)) for n in range(1, order + 1))
    return Ngrams(len(tokens), tuple(counts))


def closest_length(length: int, references: Sequence[int]) -> int:
    """The reference length nearest to `length`, the shorter of two equally near."""
    return min(references, key=lambda r: (abs(r - length), r))


def precision_counts(hypothesis: Ngrams, references: Sequence[Ngrams]) -> tuple[list[int], list[int]]:
    """For each n: how many of the hypothesis' n-grams a reference has, and how many there are (1 if none).

    An n-gram counts at most as often as in the reference that has it most often ("clipped").
    """
    matches, totals = [], []
    for i, counts in enumerate(hypothesis.counts):
        found = 0
        for gram, count in counts.items():
            most = max(reference.counts[i].get(gram, 0) for reference in references)
            found += count if count < most else most
        matches.append(found)
        totals.append(max(1, hypothesis.length - i))
    return matches, totals


def recall_counts(
    hypothesis: Ngrams, references: Sequence[Ngrams], weight: Callable[[str], float]
) -> tuple[list[float], list[float]]:
    """For each n: how many of the references' n-grams the hypothesis has, and how many there are (1 if
    fewer).

    Summed over the references. Single words count with their weight, longer n-grams as one.
    """
    matches, totals = [0.0] * len(hypothesis.counts), [0.0] * len(hypothesis.counts)
    for reference in references:
        for i, (wanted, got) in enumerate(zip(reference.counts, hypothesis.counts, strict=True)):
            if i == 0:
                weights = {gram: weight(gram[0]) for gram in wanted}
                found = math.fsum(w * min(wanted[gram], got.get(gram, 0)) for gram, w in weights.items())
                total = math.fsum(w * wanted[gram] for gram, w in weights.items())
            else:
                found = sum(min(count, got.get(gram, 0)) for gram, count in wanted.items())
                total = reference.length - i
            matches[i] += found
            totals[i] += max(1, total)
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
