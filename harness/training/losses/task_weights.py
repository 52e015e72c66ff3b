"""Task weights that follow the validation losses: when CoBa and FAMO (balancers.py) are asked, with which losses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import UserError
from harness.training.config import LossConfig
from harness.training.losses import balancers


@dataclass
class AdaptiveWeights:
    """CoBa or FAMO over a function that measures validation losses."""

    kind: str
    balancer: balancers.Coba | balancers.Famo
    initial: list[float] | None = None
    previous: tuple[int, list[float]] | None = None

    def weights(self, step: int, measure: Callable[[int | None], list[float]]) -> list[float]:
        match self.balancer:
            case balancers.Coba() as coba:
                if self.initial is None:
                    self.initial = measure(None)
                now = measure(step)
                return coba.add(step, [a / b for a, b in zip(now, self.initial, strict=True)])
            case balancers.Famo() as famo:
                if self.previous is not None:  # the step since was made: how did it change the same rows?
                    number, before = self.previous
                    famo.update(before, measure(number))
                self.previous = (step, measure(step))
                return famo.weights(self.previous[1])

    def state(self) -> dict[str, Any]:
        return {"first": self.initial, "last": self.previous, "of": self.balancer.state()}


def start(
    how: LossConfig, tasks: Sequence[str], validation: Sequence[Sequence[Any]], saved: Mapping[str, Any]
) -> AdaptiveWeights | None:
    """What sets the weights of `tasks`, from a saved state if there is one. `validation` are their batches.

    None for fixed weights. Raises UserError for a task without validation rows.
    """
    if how.convergence == "none":
        return None
    for name, batches in zip(tasks, validation, strict=True):
        if not batches:
            raise UserError(f"loss.convergence = {how.convergence!r} needs validation rows of {name!r}")
    size = len(tasks)
    state: balancers.Coba | balancers.Famo
    if how.convergence == "coba":
        state = balancers.Coba(size, how.tau, how.warmup, how.history)
    else:
        state = balancers.Famo(size)
    if saved:
        state = replace(state, **saved["of"])
        last = saved["last"]
        return AdaptiveWeights(how.convergence, state, saved["first"], (last[0], last[1]) if last else None)
    return AdaptiveWeights(how.convergence, state)
