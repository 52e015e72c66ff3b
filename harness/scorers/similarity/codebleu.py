"""CodeBLEU for Python (Ren et al., 2020, arXiv 2009.10297): four ways to be like a reference, a quarter each.

    ngram     BLEU-4 over the words between whitespace
    weighted  the same by recall, single words that are keywords counting five times as much as others
    syntax    the share of the reference's subtrees whose shape the answer has somewhere
    dataflow  the share of the reference's data-flow triples that the answer has, one to one

Every part is a ratio of counts summed over the problems, so `Score.stats` holds counts and a corpus has one
value, not a mean of values. The corpus metrics look at each problem's first sample.

Where the package codebleu 0.7.0 is at fault this differs from it, and from numbers published with it:
- its data flow of 0 counts as 1, so prose gets a quarter; here 0 is 0 (see `data_flow_empty`);
- its brevity penalty of the weighted part takes every reference to be two words long; here it is its length;
- it strips comments by a tokeniser that drops strings at the start of a statement and breaks tabs
  (text/python_tree.py);
- its data flow depends on PYTHONHASHSEED, and is lost for deep or some common texts (text/python_dataflow.py).

Elsewhere the parts are equal to it (tests/scorers/test_codebleu_package.py); `codebleu_package` is the package itself.
"""

import importlib.metadata
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.text.ngrams import (
    MAX_CHARS,
    ORDER,
    ReferenceNgrams,
    bleu,
    clipped_matches,
    closest_length,
    dedent,
    multiset_overlap,
    ngrams,
    reference_ngrams,
    words,
)
from harness.text.python_dataflow import Triple, data_flow
from harness.text.python_tree import Shape, parse_source

if TYPE_CHECKING:
    from harness.schema import Floats

EmptyDataFlow = Literal["zero", "one", "renormalise"]

# Python's keywords and soft ones as the package has them, spelled out: a newer Python must not move scores.
KEYWORDS = frozenset(
    """
    False None True and as assert async await break class continue def del elif else except finally for from
    global if import in is lambda nonlocal not or pass raise return try while with yield match case type
    """.split()  # noqa: SIM905 - a list of 38 quoted words is longer and no clearer
)

# Where the counts lie in `Score.stats`.
MATCHES, TOTALS = slice(0, ORDER), slice(ORDER, 2 * ORDER)
RECALLED, WANTED = slice(2 * ORDER, 3 * ORDER), slice(3 * ORDER, 4 * ORDER)
LENGTH, REFERENCE_LENGTH, SHAPES, ALL_SHAPES, TRIPLES, ALL_TRIPLES = range(4 * ORDER, 4 * ORDER + 6)


@dataclass(frozen=True)
class PreparedReferences:
    """What is kept of references: their n-grams, together and each by itself; the weights of words, by number;
    the numbers of shapes, and how often each number occurs; triples."""

    lengths: list[int]
    combined: ReferenceNgrams
    single: list[ReferenceNgrams]
    weights: list[float]
    recallable: list[float]
    shape_ids: dict[Shape, int]
    shapes: list[int]
    triples: list[Counter[Triple]]
    all_triples: int


class Components(NamedTuple):
    """CodeBLEU's four parts, 0..1; `dataflow` is None where no reference has a data flow."""

    ngram: float
    weighted: float
    syntax: float
    dataflow: float | None


def keyword_weight(word: str) -> float:
    return 1.0 if word in KEYWORDS else 0.2


@lru_cache(maxsize=256)
def prepare_references(references: tuple[str, ...]) -> PreparedReferences:
    texts = [dedent(reference) for reference in references]
    table: dict[Shape, int] = {}
    readings = [parse_source(text, lambda shape: table.setdefault(shape, len(table))) for text in texts]
    split = [words(text) for text in texts]
    together = reference_ngrams(split)
    weights = [0.0, *map(keyword_weight, together.vocabulary)]
    singles = sum(
        max(1.0, math.fsum([keyword_weight(w) * n for w, n in Counter(of_one).items()])) for of_one in split
    )
    longer = [float(sum(max(1, len(of_one) - i) for of_one in split)) for i in range(1, ORDER)]
    triples = [data_flow(reading) for reading in readings]
    shapes = Counter(chain.from_iterable(reading.shapes for reading in readings))
    return PreparedReferences(
        lengths=[len(of_one) for of_one in split],
        combined=together,
        single=[reference_ngrams([of_one], together.vocabulary) for of_one in split]
        if len(split) > 1
        else [together],
        weights=weights,
        recallable=[singles, *longer],
        shape_ids=table,
        shapes=[shapes[number] for number in range(len(table))],
        triples=triples,
        all_triples=sum(of_one.total() for of_one in triples),
    )


def weighted_recall(
    found: Sequence[Sequence[int]], matches: Sequence[int], to: PreparedReferences
) -> list[float]:
    """For each n: how many of the references' n-grams the answer has, summed over the references.

    Single words count with their weight, longer n-grams as one; of a single reference the answer has those that
    it matches.
    """
    singles = 0.0
    for of_one in to.single:
        most, there = of_one.repeated[0], of_one.distinct[0].intersection(found[0])
        got = Counter(found[0]) if most else {}
        singles += math.fsum([to.weights[w] * (min(got[w], most[w]) if w in most else 1) for w in there])
    if len(to.single) == 1:
        return [singles, *matches[1:]]
    longer = [clipped_matches(found, of_one)[1:] for of_one in to.single]
    return [singles, *map(float, map(sum, zip(*longer, strict=True)))]


@lru_cache(maxsize=256)
def counts(answer: str, references: tuple[str, ...]) -> tuple[float, ...]:
    """The counts of one answer, laid out as above; syntax and data flow are summed over the references.

    Samples of one problem are often the same text, and come one after the other: they are counted once.
    """
    to = prepare_references(references)
    text = dedent(answer)
    tokens = words(text)
    found = ngrams(tokens, to.combined.vocabulary)
    reading = parse_source(text, to.shape_ids.get)
    matches = clipped_matches(found, to.combined)
    totals = [max(1, len(of_one)) for of_one in found]
    recall = weighted_recall(found, matches, to)
    triples = data_flow(reading)
    same_shapes = sum([to.shapes[number] for number in set(reading.shapes)])
    same_triples = sum([multiset_overlap(triples, others) for others in to.triples]) if triples else 0
    closest = closest_length(len(tokens), to.lengths)
    rest = (len(tokens), closest, same_shapes, sum(to.shapes), same_triples, to.all_triples)
    return tuple(map(float, (*matches, *totals, *recall, *to.recallable, *rest)))


def components(sums: Sequence[float]) -> Components:
    """The four parts from counts that may be summed over a corpus."""
    length, reference_length = sums[LENGTH], sums[REFERENCE_LENGTH]
    return Components(
        ngram=bleu(sums[MATCHES], sums[TOTALS], length, reference_length),
        weighted=bleu(sums[RECALLED], sums[WANTED], length, reference_length),
        syntax=sums[SHAPES] / sums[ALL_SHAPES],
        dataflow=sums[TRIPLES] / sums[ALL_TRIPLES] if sums[ALL_TRIPLES] else None,
    )


def combine(p: Components, empty: EmptyDataFlow) -> float:
    """A quarter of each part. Where there is no data flow to find: 0, 1, or the mean of the other three."""
    others = p.ngram + p.weighted + p.syntax
    if p.dataflow is None and empty == "renormalise":
        return others / 3
    return (others + (float(empty == "one") if p.dataflow is None else p.dataflow)) / 4


def over_corpus(value: Callable[[Sequence[float]], float]) -> Reduce:
    """A corpus metric of the first sample of every problem, from the sums of the counts."""

    def of_sum(sums: "Floats") -> "Floats":
        import numpy as np

        rows = sums.reshape(-1, sums.shape[-1]).tolist()
        return np.array([value(row) for row in rows]).reshape(sums.shape[:-1])

    return Reduce(per_problem=lambda scores: scores[0, 1:], of_sum=of_sum)


def signature(problems: Sequence[Problem]) -> str:
    """The grammar's version where it is not the package codebleu's: another grammar splits a few texts otherwise."""
    del problems
    version = importlib.metadata.version("tree-sitter-python")
    return "" if version.startswith("0.21.") else f"codebleu tree-sitter-python {version}"


def codebleu_with(data_flow_empty: EmptyDataFlow) -> Scorer:
    """CodeBLEU with another rule for references without any data flow, in a corpus or in one answer."""
    name = "codebleu" if data_flow_empty == "zero" else f"codebleu_{data_flow_empty}"

    def judge(problem: Problem, answer: str) -> Score:
        stats = counts(answer[:MAX_CHARS], reference_texts(problem))
        return Score(value=combine(components(stats), data_flow_empty), stats=stats)

    def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
        return {
            name: over_corpus(lambda sums: combine(components(sums), data_flow_empty)),
            f"{name}.ngram": over_corpus(lambda sums: components(sums).ngram),
            f"{name}.weighted": over_corpus(lambda sums: components(sums).weighted),
            f"{name}.syntax": over_corpus(lambda sums: components(sums).syntax),
            f"{name}.dataflow": over_corpus(lambda sums: components(sums).dataflow or 0.0),
        }

    return Scorer(name=name, score=PerAnswer(judge), metrics=metrics, signature=signature)


codebleu = codebleu_with("zero")
