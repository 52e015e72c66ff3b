"""How probable a classifier finds it that an answer is of one class: another author, another model, a corpus.

The classifier is a folder of `harness train-classifier`, named in a run's config by `style.classifier`, and frozen.
The corpus value is the style score of a checkpoint, S(t). It says nothing of whether an answer is right.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from harness.errors import ConfigError
from harness.schema import Answer, Reduce, Sandbox, Score, Scorer, Supplies, Verdict

BATCH = 256  # answers that are classified at once


def _unprepared(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    raise ConfigError(
        "scorer 'style' needs a classifier: --set style.classifier=FOLDER --set style.label=CLASS"
    )


def prepare(supplies: Supplies) -> Scorer:
    """The scorer with the run's classifier."""
    classify, label = supplies.classifier()

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        del sandbox
        rest = iter(answers)
        while texts := [answer for _, answer in islice(rest, BATCH)]:
            for chance in classify(texts)[:, label].tolist():
                yield Verdict("scored", Score(value=chance))

    return replace(style, score=score)


def with_classifier(label: str, digest: str) -> Scorer:
    """The scorer whose signature names the classifier: its numbers mean something only with it."""
    return replace(style, signature=lambda problems: f"style class:{label} {digest}")


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    return {"style": mean_of()}


style = Scorer(name="style", score=_unprepared, metrics=metrics, needs=("classifier",), prepare=prepare)
