"""A classifier of style: whose text is this, and so, has a model taken on a style?

    train        logistic regression on hashed n-grams: light, deterministic, of numpy alone
    pretrained   a sequence classifier of transformers, from a folder
    evaluate     accuracy with its interval, the majority's, AUC, cross-entropy, on texts it has not seen
    style        the mean probability of one class over the texts of a checkpoint
    trend        whether that rises over checkpoints: least-squares slope and Kendall's tau

Texts of two generators that are alike are classified at chance (0.5 of two balanced classes): a high accuracy says
that the styles differ, not which text is better. A `Classifier` is any function from texts to probabilities
[texts, classes]. Not here: what an answer is worth, and the loop that asks a checkpoint for texts.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import ConfigError, DataError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Classifier = Callable[[Sequence[str]], Floats]

BUCKETS = 1 << 14
MAX_CHARS = 20_000  # characters of a text that are looked at
NGRAM_LENGTHS = (2, 3, 4)  # characters


@dataclass(frozen=True)
class ClassifierReport:
    """Of n texts. `loss` is the mean of -ln of the right class' probability; `auc` only for two classes."""

    accuracy: float
    low: float
    high: float
    majority: float
    loss: float
    auc: float | None
    n: int


@dataclass(frozen=True)
class LinearClassifier:
    """Logistic regression: `weights` [buckets, classes], `bias` [classes]. Called with texts."""

    weights: Floats
    bias: Floats

    def __call__(self, texts: Sequence[str]) -> Floats:
        return softmax(features(texts) @ self.weights + self.bias)

    def save(self, path: Path) -> None:
        np.savez_compressed(path, weights=self.weights, bias=self.bias)


def load(path: Path) -> LinearClassifier:
    """What `Linear.save` wrote. Raises DataError. No pickle is read."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return LinearClassifier(found["weights"], found["bias"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} holds no classifier: {error}") from None


def features(texts: Sequence[str]) -> Floats:
    """[texts, BUCKETS]: square roots of the counts of character n-grams, hashed, each row of length 1."""
    found = np.zeros((len(texts), BUCKETS))
    for row, text in enumerate(texts):
        blob = text[:MAX_CHARS].encode("utf-8", "replace")
        for n in NGRAM_LENGTHS:
            for at in range(len(blob) - n + 1):
                found[row, zlib.crc32(blob[at : at + n]) % BUCKETS] += 1
    np.sqrt(found, out=found)
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    np.divide(found, norms, out=found, where=norms > 0)
    return found


def softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def balanced_batches(labels: Labels, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Places of texts in batches that hold every class equally often; an epoch shows the largest class once.

    Smaller classes come round again. Raises ConfigError unless `size` is a multiple of the number of classes.
    """
    places = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    each, left = divmod(size, len(places))
    if left or not each:
        raise ConfigError(f"a batch of {size} cannot hold {len(places)} classes equally often")
    most = max(map(len, places))
    order = [
        np.concatenate([rng.permutation(own) for _ in range(-(-most // len(own)) + 1)]) for own in places
    ]
    for start in range(0, most, each):
        stop = min(start + each, most)
        yield np.concatenate([own[start:stop] for own in order])


def train(
    texts: Sequence[str], labels: Sequence[int], epochs: int = 30, size: int = 64, seed: int = 0
) -> LinearClassifier:
    """Fit to texts of classes 0, 1, ...: plain gradient steps on balanced batches. Raises ConfigError."""
    known = _labels(labels, texts)
    classes = int(known.max()) + 1
    if len(np.unique(known)) != classes or classes < 2:
        raise ConfigError(f"a classifier needs texts of two classes or more, each of 0 to {classes - 1}")
    rng, given = np.random.default_rng(seed), features(texts)
    weights, bias = np.zeros((BUCKETS, classes)), np.zeros(classes)
    for epoch in range(epochs):
        rate = 10.0 * (1 - epoch / epochs)
        for batch in balanced_batches(known, size, rng):
            error = softmax(given[batch] @ weights + bias) - np.eye(classes)[known[batch]]
            weights -= rate / len(batch) * (given[batch].T @ error)
            bias -= rate / len(batch) * error.sum(axis=0)
    return LinearClassifier(weights, bias)


def _labels(labels: Sequence[int], texts: Sequence[str]) -> Labels:
    known = np.asarray(labels, dtype=np.int64)
    if len(known) != len(texts) or not len(known) or known.min() < 0:
        raise ConfigError(f"{len(texts)} texts and {len(known)} labels: one each is needed, of 0 and up")
    return known


def load_pretrained(folder: Path, size: int = 64, tokens: int = 128) -> Classifier:
    """A sequence classifier of transformers as a function; texts are cut at so many tokens. Never downloads."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, dtype="auto"
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} holds no sequence classifier: {str(error).splitlines()[0]}") from None
    model.eval()

    def probabilities(texts: Sequence[str]) -> Floats:
        found = []
        for start in range(0, len(texts), size):
            batch = tokenizer(
                list(texts[start : start + size]),
                padding=True,
                truncation=True,
                max_length=tokens,
                return_tensors="pt",
            )
            with torch.inference_mode():
                logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            found.append(logits.double().softmax(-1).numpy())
        return np.concatenate(found)

    return probabilities


# ---------------------------------------------------------------- figures


def evaluate(classifier: Classifier, texts: Sequence[str], labels: Sequence[int]) -> ClassifierReport:
    """How well the classes of texts are predicted. Best on a balanced set: then the majority is 1 / classes."""
    known, chances = _labels(labels, texts), classifier(texts)
    right, n = int((chances.argmax(axis=1) == known).sum()), len(known)
    from harness.stats.intervals import wilson

    low, high = wilson(right, n)
    own = chances[np.arange(n), known]
    two = chances.shape[1] == 2 and 0 < int(known.sum()) < n
    return ClassifierReport(
        accuracy=right / n,
        low=low,
        high=high,
        majority=float(np.bincount(known).max() / n),
        loss=float(-np.log(np.maximum(own, 1e-12)).mean()),
        auc=auc(chances[:, 1], known) if two else None,
        n=n,
    )


def auc(scores: Floats, labels: Labels) -> float:
    """The chance that a text of class 1 scores above one of class 0, a tie being half (Mann and Whitney 1947)."""
    ordered = np.sort(scores[labels == 0])
    ones = scores[labels == 1]
    below = np.searchsorted(ordered, ones, side="left") + np.searchsorted(ordered, ones, side="right")
    return float(below.sum() / (2 * len(ordered) * len(ones)))


def style_score(classifier: Classifier, texts: Sequence[str], label: int) -> float:
    """The mean probability of one class over texts: S(t) of a checkpoint t."""
    if not texts:
        raise ConfigError("a style score needs texts")
    return float(classifier(texts)[:, label].mean())


def trend(steps: Sequence[float], scores: Sequence[float]) -> tuple[float, float]:
    """(least-squares slope a step, Kendall's tau-a) of scores over checkpoints. Raises ConfigError below two."""
    x, y = np.asarray(steps, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(x) != len(y) or len(set(steps)) < 2:
        raise ConfigError(
            f"a trend needs scores of two checkpoints or more, got {len(y)} of {len(set(steps))}"
        )
    centred = x - x.mean()
    pairs = list(combinations(range(len(x)), 2))
    agreeing = sum(np.sign(x[j] - x[i]) * np.sign(y[j] - y[i]) for i, j in pairs)
    return float(centred @ y / (centred @ centred)), float(agreeing / len(pairs))
