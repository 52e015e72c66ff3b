"""BLEU by sacrebleu: its tokeniser `13a`, its smoothing `exp`, its signature with the number (Post, 2018).

sacrebleu counts, the counts are summed over the problems, and sacrebleu turns the sums into the corpus value:
so that value is the package's own, and has an interval. Here it is 0..1. One sample's own value counts only
the n-gram lengths that the answer has ("effective order"), or short answers would all be worth nothing.
The corpus metric looks at each problem's first sample.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.scorers.similarity.codebleu import over_corpus
from harness.text.ngrams import MAX_CHARS, ORDER

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

# Where the counts lie in `Score.stats`.
MATCHES, TOTALS, LENGTH, REFERENCE_LENGTH = slice(0, ORDER), slice(ORDER, 2 * ORDER), 2 * ORDER, 2 * ORDER + 1


def metric() -> "BLEU":
    """A fresh sacrebleu metric; `force` only silences its advice about tokenised text."""
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(force=True)


@cache
def _shared_metric() -> "BLEU":
    return metric()


def ngram_counts(answer: str, references: Sequence[str]) -> tuple[float, ...]:
    """Matches and totals for n of 1 to 4, the answer's length and the nearest reference's, in words."""
    scored = _shared_metric().corpus_score([answer[:MAX_CHARS]], [[reference] for reference in references])
    return tuple(map(float, (*scored.counts, *scored.totals, scored.sys_len, scored.ref_len)))


def value(sums: Sequence[float], effective_order: bool = False) -> float:
    """BLEU, 0..1, of counts that may be summed over a corpus."""
    whole = [round(number) for number in sums]
    scored = _shared_metric().compute_bleu(
        whole[MATCHES],
        whole[TOTALS],
        whole[LENGTH],
        whole[REFERENCE_LENGTH],
        smooth_method="exp",
        effective_order=effective_order,
    )
    return min(1.0, float(scored.score) / 100)


def judge(problem: Problem, answer: str) -> Score:
    stats = ngram_counts(answer, reference_texts(problem))
    return Score(value=value(stats, effective_order=True), stats=stats)


def signature(problems: Sequence[Problem]) -> str:
    """sacrebleu's signature, for as many references as these problems have."""
    numbers = {len(reference_texts(problem)) for problem in problems}
    scorer = metric()
    scorer.corpus_score(["x"], [["x"]])  # a signature exists only after a scoring
    scorer.num_refs = numbers.pop() if len(numbers) == 1 else -1
    return f"bleu {scorer.get_signature()}"


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    return {"bleu": over_corpus(value)}


bleu = Scorer(name="bleu", score=PerAnswer(judge), metrics=metrics, signature=signature)
