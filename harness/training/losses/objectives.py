"""What a batch costs: the mean over tokens, balanced between tasks or samples, and focal factors. Pure.

Every function takes the learnt tokens of a batch as one flat list with the sample and the task each belongs
to. Equations 1 to 3 of MFTCoder (arXiv 2311.02303); `balance` carries the names of their meaning and not the
case numbers of that paper's code: none, sample_mean, task_token, task_sample are its case1 to case4.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Balance = Literal["none", "sample_mean", "task_token", "task_sample"]
FocalLevel = Literal["sample", "task"]


@dataclass(frozen=True)
class Tokens:
    """The learnt tokens of a batch.

    `nll` [tokens] is the negative natural-log probability of each, `sample` [tokens] the number of its sample
    (0 to samples - 1, each with at least one token), `task` [samples] the number of each sample's task.
    """

    nll: Tensor
    sample: Tensor
    task: Tensor


@dataclass(frozen=True)
class Totals:
    """How many tokens and samples each task has in everything that one optimiser step covers; both [tasks]."""

    tokens: Tensor
    samples: Tensor


def _sums(values: Tensor, index: Tensor, size: int) -> Tensor:
    return torch.zeros(size, dtype=values.dtype, device=values.device).index_add(0, index, values)


def _counts(index: Tensor, size: int, like: Tensor) -> Tensor:
    return torch.bincount(index, minlength=size).to(like.dtype)


def sample_means(tokens: Tokens, values: Tensor) -> Tensor:
    """Mean of `values` [tokens] within each sample: [samples]."""
    size = len(tokens.task)
    return _sums(values, tokens.sample, size) / _counts(tokens.sample, size, values)


def task_totals(tokens: Tokens, tasks: int) -> Totals:
    """Tokens and samples of each task in one batch."""
    return Totals(
        tokens=torch.bincount(tokens.task[tokens.sample], minlength=tasks),
        samples=torch.bincount(tokens.task, minlength=tasks),
    )


def balanced_loss(tokens: Tokens, balance: Balance, weights: Tensor, whole: Totals | None = None) -> Tensor:
    """The loss of a batch (Eq. 1 by tokens: `task_token`; by samples: `task_sample`).

    `weights` [tasks] are normalised over the tasks that are present, so that a task's absence does not shrink
    the loss. With `whole`, what all batches of an optimiser step hold, the result is this batch's share, and
    the shares add up to the loss of the step as if it were one batch (reduction `global`); without, the batch
    stands for itself (reduction `micro`).
    """
    size = len(weights)
    here = task_totals(tokens, size)
    over = whole or here
    match balance:
        case "none":
            return tokens.nll.sum() / over.tokens.sum()
        case "sample_mean":
            return sample_means(tokens, tokens.nll).sum() / over.samples.sum()
        case "task_token":
            sums = _sums(tokens.nll, tokens.task[tokens.sample], size)
            counts = over.tokens
        case "task_sample":
            sums = _sums(sample_means(tokens, tokens.nll), tokens.task, size)
            counts = over.samples
    present = counts > 0
    shares = torch.where(present, weights, 0.0).to(sums.dtype)
    return (shares / shares.sum() * sums / counts.clamp(min=1)).sum()


def focal_loss(
    tokens: Tokens, level: FocalLevel, gamma: float, alpha: Tensor, detach: bool = False
) -> Tensor:
    """Focal loss of a batch: Eq. 2 (`sample`) or Eq. 3 (`task`).

    P is the mean probability and Q the mean log-probability, per sample or, of these, per task; the loss is the
    mean of -alpha (1 - P)^gamma Q over samples or tasks present. `alpha` [tasks]. With `detach` the factor
    (1 - P)^gamma is a constant for the gradient. gamma 0 and alpha 1 give `sample_mean` and `task_sample`.
    """
    p = sample_means(tokens, torch.exp(-tokens.nll))
    q = -sample_means(tokens, tokens.nll)
    task = tokens.task
    if level == "task":
        present, index = torch.unique(task, return_inverse=True)
        counts = _counts(index, len(present), p)
        p, q, task = _sums(p, index, len(present)) / counts, _sums(q, index, len(present)) / counts, present
    factor = (1 - p).clamp(min=0) ** gamma
    if detach:
        factor = factor.detach()
    return (-alpha.to(q.dtype)[task] * factor * q).mean()


def task_sums(tokens: Tokens, tasks: int) -> tuple[Tensor, Totals]:
    """Summed negative log-likelihood of each task [tasks] and its counts: what validation adds up."""
    return _sums(tokens.nll, tokens.task[tokens.sample], tasks), task_totals(tokens, tasks)
