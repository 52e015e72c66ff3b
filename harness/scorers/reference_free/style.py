"""How probable a classifier finds it that an answer is of one class: another author, another model, a corpus.

`style_with(classifier, label)` makes the scorer; the classifier is any of harness/scorers/style_classifier.py,
frozen. The corpus value is the style score of a checkpoint, S(t). It says nothing of whether an answer is right.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from harness.schema import Answer, Reduce, Sandbox, Score, Scorer, Verdict

if TYPE_CHECKING:
    from harness.schema import Floats

BATCH = 256  # answers that are classified at once


def style_with(classifier: "Callable[[Sequence[str]], Floats]", label: int, digest: str) -> Scorer:
    """`digest` names the classifier in the signature: its numbers mean something only with it."""

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        rest = iter(answers)
        while texts := [answer for _, answer in islice(rest, BATCH)]:
            for chance in classifier(texts)[:, label].tolist():
                yield Verdict("scored", Score(value=chance))

    def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
        from harness.stats.estimates import mean_of

        return {"style": mean_of()}

    return Scorer(
        name="style", score=score, metrics=metrics, signature=lambda problems: f"style class:{label} {digest}"
    )
