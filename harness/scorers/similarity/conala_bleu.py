"""The CoNaLa challenge's two numbers: BLEU-4 without smoothing, and exact match, over the challenge's words.

Words (Ling et al., 2016): runs of ASCII letters, digits and underscores, cut where a capital follows a small
letter; any other character but whitespace is a word; both kinds of quotes are the same. The challenge's
scorer is https://github.com/conala-corpus/conala-baseline (eval/conala_eval.py), with one reference a
problem; of several, the shortest counts for the length, as in the scorer's BLEU. Where that divides by zero
(an empty corpus of answers) this is 0. Both metrics look at each problem's first sample; a sample's own value
is its exact match.
"""

import math
import re
from collections.abc import Mapping, Sequence

from harness.schema import Problem, Reduce, Score, Scorer
from harness.scorers.per_answer import PerAnswer, reference_texts
from harness.scorers.similarity.codebleu import over_corpus
from harness.text.ngrams import MAX_CHARS, ORDER, clipped_matches, ngrams, reference_ngrams

CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z])(?=[A-Z])")
WORD = re.compile(r"[A-Za-z0-9_]+|[^A-Za-z0-9_\s]")
QUOTES = str.maketrans("\"'", "``")

# Where the counts lie in `Score.stats`.
MATCHES, TOTALS, LENGTH, REFERENCE_LENGTH = slice(0, ORDER), slice(ORDER, 2 * ORDER), 2 * ORDER, 2 * ORDER + 1


def challenge_words(code: str) -> list[str]:
    return WORD.findall(CAMEL_CASE_BOUNDARY.sub(" ", code).translate(QUOTES))


def judge(problem: Problem, answer: str) -> Score:
    references = [challenge_words(reference) for reference in reference_texts(problem)]
    answered = challenge_words(answer[:MAX_CHARS])
    there = reference_ngrams(references)
    found = ngrams(answered, there.vocabulary)
    matches = clipped_matches(found, there)
    totals = [len(of_one) for of_one in found]
    shortest = min(len(reference) for reference in references)
    same = bool(answered) and len(answer) <= MAX_CHARS and answered in references
    return Score(value=float(same), stats=tuple(map(float, (*matches, *totals, len(answered), shortest))))


def bleu(sums: Sequence[float]) -> float:
    """BLEU-4, 0..1, of counts that may be summed over a corpus; 0 if any of the four has no match."""
    if min(sums[MATCHES]) <= 0:
        return 0.0
    logs = [math.log(m / t) for m, t in zip(sums[MATCHES], sums[TOTALS], strict=True)]
    short = min(0.0, 1.0 - sums[REFERENCE_LENGTH] / sums[LENGTH])
    return math.exp(short + math.fsum(logs) / ORDER)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import any_of_first

    return {"conala_bleu": over_corpus(bleu), "em_tokenized": any_of_first(1)}


conala_bleu = Scorer(name="conala_bleu", score=PerAnswer(judge), metrics=metrics)
