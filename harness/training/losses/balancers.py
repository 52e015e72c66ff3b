"""Weights of tasks that follow their validation losses while training: FAMO-style and CoBa. Pure, on floats.

Both answer one question per optimiser step: given each task's validation loss, how much does its training
loss count? Eq. 4 of MFTCoder (arXiv 2311.02303) is FAMO's rule with validation losses (Liu et al. 2023, arXiv
2306.03792); CoBa is what MFTCoder ships instead (arXiv 2410.06741). CoBa is built as published: the divergence
factor is at most 1 and there is no second softmax.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

EPSILON = 1e-8


def softmax(values: Sequence[float]) -> list[float]:
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


# ---------------------------------------------------------------- FAMO


def famo_weights(xi: Sequence[float], losses: Sequence[float]) -> list[float]:
    """Coefficients on the raw training losses, summing to 1: z_i / (D_i c), c = sum of z_i / D_i.

    They make the gradient that of sum (z_i / c) log D_i, with z = softmax(xi), D = loss + 1e-8.
    """
    shares = [z / (loss + EPSILON) for z, loss in zip(softmax(xi), losses, strict=True)]
    return [share / sum(shares) for share in shares]


def famo_gradient(xi: Sequence[float], before: Sequence[float], after: Sequence[float]) -> list[float]:
    """Gradient on xi: z_k (delta_k - sum z_j delta_j), delta the fall of log D; who improved most loses weight."""
    z = softmax(xi)
    delta = [math.log(b + EPSILON) - math.log(a + EPSILON) for b, a in zip(before, after, strict=True)]
    mean = sum(z_k * d_k for z_k, d_k in zip(z, delta, strict=True))
    return [z_k * (d_k - mean) for z_k, d_k in zip(z, delta, strict=True)]


@dataclass
class Famo:
    """xi and its Adam state (lr 0.025, weight decay 0.01 as L2, as in FAMO's own code)."""

    tasks: int
    lr: float = 0.025
    decay: float = 0.01
    xi: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        for name in ("xi", "first", "second"):
            setattr(self, name, getattr(self, name) or [0.0] * self.tasks)

    def weights(self, losses: Sequence[float]) -> list[float]:
        return famo_weights(self.xi, losses)

    def update(self, before: Sequence[float], after: Sequence[float]) -> None:
        """One Adam step on xi; `before` and `after` the step are losses on the same validation rows."""
        self.steps += 1
        gradient = famo_gradient(self.xi, before, after)
        for k, plain in enumerate(gradient):
            g = plain + self.decay * self.xi[k]
            self.first[k] = 0.9 * self.first[k] + 0.1 * g
            self.second[k] = 0.999 * self.second[k] + 0.001 * g * g
            m = self.first[k] / (1 - 0.9**self.steps)
            v = self.second[k] / (1 - 0.999**self.steps)
            self.xi[k] -= self.lr * m / (math.sqrt(v) + 1e-8)

    def state(self) -> dict[str, Any]:
        return asdict(self)


# ---------------------------------------------------------------- CoBa


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Ordinary least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    over = sum((a - x) ** 2 for a in xs)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / over if over else 0.0


def _relative(values: Sequence[float], scale: float) -> list[float]:
    total = sum(abs(value) for value in values)
    return [scale * value / total if total else 0.0 for value in values]


@dataclass
class Coba:
    """Convergence balance: `add` a step's loss ratios L_i(t) / L_i(0) and get the tasks' weights (sum 1).

    Until `warmup` points all weights are equal. `history` points make a slope and a window of slopes; points
    are kept with their step, so that intervals between updates need not be equal.
    """

    tasks: int
    tau: float = 5.0
    warmup: int = 100
    history: int = 200
    steps: list[float] = field(default_factory=list)
    ratios: list[list[float]] = field(default_factory=list)  # one row a step
    slopes: list[list[float]] = field(default_factory=list)  # one row a step after the warm-up
    peaks: list[float] = field(default_factory=list)  # slopes of the highest ratio

    def add(self, step: float, ratios: Sequence[float]) -> list[float]:
        self.steps.append(step)
        self.ratios.append(list(ratios))
        del self.steps[: -self.history], self.ratios[: -self.history]
        if len(self.steps) < min(max(2, self.warmup), self.history):
            return [1 / self.tasks] * self.tasks
        self.slopes.append([slope(self.steps, column) for column in zip(*self.ratios, strict=True)])
        self.peaks.append(slope(self.steps, [max(row) for row in self.ratios]))
        del self.slopes[: -self.history], self.peaks[: -self.history]
        return self.weights()

    def weights(self) -> list[float]:
        """DF * RCS + (1 - DF) * ACS: slow tasks first while all converge, then those that do not diverge."""
        n = len(self.slopes)
        relative = softmax(_relative(self.slopes[-1], self.tasks))
        own = softmax([_relative(column, -n)[-1] for column in zip(*self.slopes, strict=True)])
        factor = min(1.0, n * softmax(_relative(self.peaks, -self.tau * n))[-1])
        return [factor * r + (1 - factor) * a for r, a in zip(relative, own, strict=True)]

    def state(self) -> dict[str, Any]:
        return asdict(self)
