"""Task weights that follow the validation losses: when CoBa and FAMO (`balance`) are asked, and what they are told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import UserError
from harness.train.config import LossConfig
from harness.train.losses import balancers


@dataclass
class Following:
    """CoBa or FAMO over a function that measures validation losses."""

    kind: str
    state_of: balancers.Coba | balancers.Famo
    first: list[float] | None = None
    last: tuple[int, list[float]] | None = None

    def weights(self, step: int, measure: Callable[[int | None], list[float]]) -> list[float]:
        match self.state_of:
            case balancers.Coba() as coba:
                if self.first is None:
                    self.first = measure(None)
                now = measure(step)
                return coba.add(step, [a / b for a, b in zip(now, self.first, strict=True)])
            case balancers.Famo() as famo:
                if self.last is not None:  # the step since was made: how did it change the same rows?
                    number, before = self.last
                    famo.update(before, measure(number))
                self.last = (step, measure(step))
                return famo.weights(self.last[1])

    def state(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last, "of": self.state_of.state()}


def begin(
    how: LossConfig, tasks: Sequence[str], held: Sequence[Sequence[Any]], saved: Mapping[str, Any]
) -> Following | None:
    """What sets the weights of `tasks` with their validation batches `held`, from a saved state if there is one.

    None for fixed weights. Raises UserError for a task without validation rows.
    """
    if how.convergence == "none":
        return None
    for name, batches in zip(tasks, held, strict=True):
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
        return Following(how.convergence, state, saved["first"], (last[0], last[1]) if last else None)
    return Following(how.convergence, state)
