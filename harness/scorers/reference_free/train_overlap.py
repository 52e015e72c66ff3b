"""How much answers repeat the task's train split: shared 13-grams, whole copies, the longest common run.

The counting is harness/text/train_overlap.py's; tokens are the CoNaLa challenge's words, training texts the solutions
of the train split. High values ask for a look, they prove nothing: short answers have few ways to be said. A sample's
value is the share of its 13-grams that a training solution has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from harness.errors import ConfigError, UserError
from harness.schema import Answer, Reduce, Sandbox, Score, Scorer, Supplies, Verdict
from harness.scorers.similarity.conala_bleu import challenge_words
from harness.text.ngrams import MAX_CHARS
from harness.text.train_overlap import overlap

BATCH = 2000  # answers that are looked for in one pass over the training texts

# The columns of the scores: the value, then `Score.stats`.
SHARED, GRAMS, TOUCHED, COPY, LONGEST_RUN = range(1, 6)


def _unprepared(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    raise UserError("train_overlap needs the task's train split: ask for it in a run")


def prepare(supplies: Supplies) -> Scorer:
    texts = [challenge_words(problem.solution) for problem in supplies.training()]
    if not any(texts):
        raise ConfigError(
            "train_overlap needs a train split with solutions, and the task has none: leave it out"
        )

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        del sandbox
        coming = iter(answers)
        while batch := [challenge_words(answer[:MAX_CHARS]) for _, answer in islice(coming, BATCH)]:
            for found in overlap(batch, texts):
                share = found.shared / max(1, found.ngrams)
                counts = (found.shared, found.ngrams, found.shared > 0, found.copy, found.longest)
                yield Verdict("scored", Score(value=share, stats=tuple(map(float, counts))))

    return replace(train_overlap, score=score)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of, ratio_of_sums

    return {
        "train_overlap": ratio_of_sums(SHARED, GRAMS, lower_is_better=True),
        "train_overlap.answers": mean_of(TOUCHED, lower_is_better=True),
        "train_overlap.copies": mean_of(COPY, lower_is_better=True),
        "train_overlap.longest": mean_of(LONGEST_RUN, unit="number", lower_is_better=True),
    }


train_overlap = Scorer(
    name="train_overlap", score=_unprepared, metrics=metrics, needs=("training",), prepare=prepare
)
