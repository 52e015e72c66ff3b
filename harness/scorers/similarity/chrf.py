"""chrF by sacrebleu: an F-score of character n-grams of one to six, recall counted double (Popović, 2015).

No tokeniser, so it suits code better than BLEU does; whitespace is not seen. The counts come from sacrebleu
and are summed over the problems, so the corpus value is the package's own and has an interval. Here it is
0..1. Of several references the one that the answer is most like is counted. The corpus metric looks at each
problem's first sample.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.scorers.similarity.codebleu import over_corpus
from harness.text.ngrams import MAX_CHARS

if TYPE_CHECKING:
    from sacrebleu.metrics.chrf import CHRF


def metric() -> "CHRF":
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


@cache
def _shared_metric() -> "CHRF":
    return metric()


def ngram_counts(answer: str, references: Sequence[str]) -> tuple[float, ...]:
    """For n of 1 to 6: the answer's n-grams, the reference's, and the matches."""
    # The only way to the counts; sacrebleu's own paired tests go it too (its significance.py).
    (found,) = _shared_metric()._extract_corpus_statistics(
        [answer[:MAX_CHARS]], [[reference] for reference in references]
    )
    return tuple(map(float, found))


def value(sums: Sequence[float]) -> float:
    """chrF, 0..1, of counts that may be summed over a corpus."""
    return min(1.0, _shared_metric()._compute_f_score([round(number) for number in sums]) / 100)


def judge(problem: Problem, answer: str) -> Score:
    stats = ngram_counts(answer, reference_texts(problem))
    return Score(value=value(stats), stats=stats)


def signature(problems: Sequence[Problem]) -> str:
    """sacrebleu's signature, for as many references as these problems have."""
    numbers = {len(reference_texts(problem)) for problem in problems}
    scorer = metric()
    scorer.corpus_score(["x"], [["x"]])  # a signature exists only after a scoring
    scorer.num_refs = numbers.pop() if len(numbers) == 1 else -1
    return f"chrf {scorer.get_signature()}"


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    return {"chrf": over_corpus(value)}


chrf = Scorer(name="chrf", score=PerAnswer(judge), metrics=metrics, signature=signature)
