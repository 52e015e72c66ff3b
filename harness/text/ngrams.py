"""Words, n-grams and BLEU's counts: what the scorers that compare texts are made of. Pure; no tokeniser of a
model here.

BLEU is kept as counts per text (Papineni et al., 2002): matches and totals per n-gram length, and two
lengths. Counts are added over a corpus before they become a number, so a corpus value is `bleu` of the sums.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import or_
from typing import TypeVar

ORDER = 4  # BLEU-4: n-grams of one to four words
SMOOTHING = 0.1  # stands for a count of zero: method 1 of Chen and Cherry (2014), as CodeBLEU uses it
MAX_CHARS = 100_000  # characters of an answer whose n-grams are looked at: the n-grams of 100 MB need 100 GB
# Characters of a text whose syntax tree is looked at: a tree takes a hundred times its text.
MAX_PARSED_CHARS = 1_000_000


def words(text: str) -> list[str]:
    """The runs of characters between whitespace."""
    return text.split()


def collapse_whitespace(text: str) -> str:
    """The text with every run of whitespace made one space, and none at the ends."""
    return " ".join(text.split())


def dedent(text: str) -> str:
    """The text without blank ends and without the indentation that all its lines share.

    Unlike `strip`, this keeps the lines of an indented block in line with each other.
    """
    if text[:1].isspace():
        text = textwrap.dedent(text)
    return text.strip()


T = TypeVar("T")


@dataclass(frozen=True)
class ReferenceNgrams:
    """The n-grams of references for each n from 1 to ORDER, and how often those that are there more than once.

    `vocabulary` numbers the words from 1 on, and an n-gram is one number, whose digits are its words': looking
    numbers up costs half of what looking tuples up does. Of several references the one counts that has an n-gram
    most often ("clipped" counts).
    """

    vocabulary: Mapping[str, int]
    distinct: Sequence[frozenset[int]]
    repeated: Sequence[Mapping[int, int]]


def ngrams(tokens: Sequence[str], vocabulary: Mapping[str, int]) -> list[list[int]]:
    """The text's n-grams, in its order, for each n from 1 to ORDER; words without a number are 0."""
    base, number = len(vocabulary) + 1, vocabulary.get
    digits = [number(word, 0) for word in tokens]
    found = [digits]
    for n in range(1, ORDER):
        found.append([gram * base + digit for gram, digit in zip(found[-1], digits[n:], strict=False)])
    return found


def reference_ngrams(
    references: Sequence[Sequence[str]], vocabulary: Mapping[str, int] | None = None
) -> ReferenceNgrams:
    """What the references of one problem have; `vocabulary` must have all their words."""
    if vocabulary is None:
        different = dict.fromkeys(chain.from_iterable(references))
        vocabulary = {word: number for number, word in enumerate(different, start=1)}
    found = zip(*(ngrams(reference, vocabulary) for reference in references), strict=True)
    most: list[Counter[int]] = [reduce(or_, map(Counter, of_one_length)) for of_one_length in found]
    repeated = [{gram: count for gram, count in n.items() if count > 1} for n in most]
    return ReferenceNgrams(vocabulary, [frozenset(n) for n in most], repeated)


def clipped_matches(text: Sequence[Sequence[int]], references: ReferenceNgrams) -> list[int]:
    """How many of a text's n-grams the references have, for each n; none counted more often than they have it.

    Most n-grams occur once, where sets do: scoring is largely this.
    """
    sizes = []
    for of_one, distinct, most in zip(text, references.distinct, references.repeated, strict=True):
        size = len(distinct.intersection(of_one))
        if most:
            again = Counter([gram for gram in of_one if gram in most])
            size += sum([min(count, most[gram]) - 1 for gram, count in again.items()])
        sizes.append(size)
    return sizes


def closest_length(length: int, references: Sequence[int]) -> int:
    """The reference length nearest to `length`, the shorter of two equally near."""
    return min(references, key=lambda r: (abs(r - length), r)) if len(references) > 1 else references[0]


def multiset_overlap(got: Mapping[T, int], wanted: Mapping[T, int]) -> int:
    """The size of the intersection of two multisets."""
    size, most = 0, wanted.get
    for element, count in got.items():
        limit = most(element)
        if limit is not None:
            size += count if count < limit else limit
    return size


def bleu(matches: Sequence[float], totals: Sequence[float], length: float, reference_length: float) -> float:
    """BLEU of summed counts, 0..1: the geometric mean of the shares matched, times the penalty for being
    short.

    0 where no single word matches (which includes an empty text); any other count of zero becomes
    `SMOOTHING`.
    """
    if matches[0] <= 0 or length <= 0:
        return 0.0
    logs = [math.log((m if m > 0 else SMOOTHING) / t) for m, t in zip(matches, totals, strict=True)]
    mean = math.fsum(logs) / len(matches)
    short = 0.0 if length > reference_length else 1.0 - reference_length / length
    return math.exp(short + mean)
