"""Style while a model is trained: every so many steps it writes a fixed batch, and a frozen classifier reads it.

A training loop calls a `StyleWatch` with the number of each step. The classifier is any of
harness/scorers/style_classifier.py. It gets texts and gives numbers, so no gradient can pass through it. Not here: the
loop, and what an answer is worth. `style_classifier.trend` says whether the scores rise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.errors import ConfigError
from harness.schema import Backend, Request, Sampling
from harness.scorers.style_classifier import Classifier


@dataclass(frozen=True)
class StylePoint:
    """What the classifier found after a step in n texts, with label y.

    `style` is the mean P(y), `share` the share of texts for which y is the likeliest class, `loss` the mean -ln P(y).
    """

    step: int
    style: float
    share: float
    loss: float
    n: int


def no_log(point: StylePoint) -> None:
    pass


@dataclass
class StyleWatch:
    """Call with each step's number, 0 before the first; at every `every`-th it classifies and logs, else does nothing.

    `generate` gives the batch: it must ask the same prompts with the same seed each time, and draw from a generator of
    its own, or watching changes the training. `points` are what was found so far; a loop that resumes from a
    checkpoint hands them in again. Raises ConfigError for an `every` below 1, an empty batch or one of another size.
    """

    generate: Callable[[], Sequence[str]]
    classifier: Classifier
    label: int
    every: int
    log: Callable[[StylePoint], None] = no_log
    points: list[StylePoint] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ConfigError(f"a style is looked at every 1 step or more, got {self.every}")

    def __call__(self, step: int) -> StylePoint | None:
        if step % self.every:
            return None
        texts = self.generate()
        expected = self.points[0].n if self.points else max(1, len(texts))
        if len(texts) != expected:
            raise ConfigError(f"the batch of step {step} has {len(texts)} texts; {expected} are expected")
        chances = self.classifier(texts)
        own = chances[:, self.label]
        point = StylePoint(
            step=step,
            style=float(own.mean()),
            share=float((chances.argmax(axis=1) == self.label).mean()),
            loss=float(-np.log(np.maximum(own, 1e-12)).mean()),
            n=len(texts),
        )
        self.points.append(point)
        self.log(point)
        return point


def generate_with(
    backend: Backend, requests: Sequence[Request], sampling: Sampling
) -> Callable[[], list[str]]:
    """The `generate` of a StyleWatch: what a backend of this project completes, in the order of the requests.

    Its backends draw by `sampling.seed` alone, and from no generator of the training's.
    """
    place = {request.problem_id: at for at, request in enumerate(requests)}

    def generate() -> list[str]:
        found = sorted(backend.generate(requests, sampling), key=lambda g: (place[g.problem_id], g.index))
        return [generation.completion.text for generation in found]

    return generate
