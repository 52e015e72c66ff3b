"""The next token of each row from its logits, greedy or sampled, and whether the batch's rounding noise could have
changed it.

Sampling is an arg-max: the token with the largest (logit / temperature + Gumbel noise) among those that top-k and top-p
admit is distributed as the softmax over them (Gumbel 1954; Maddison et al. 2014, "A* sampling"). The noise is a
function of (seed, problem, sample, step, token), never of what else is in the batch.

`tolerance` bounds how far the difference of two logits can move between batch shapes, in units of the row's largest
logit; in logit units it is the row's margin. `margin_ok` says that nothing within the margin changes the choice: the
token leads by more than the margin, and is admitted under the strictest reading of top-k and top-p while it wins under
the loosest. Imports torch; see model_runner.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import BackendFault
from harness.schema import Sampling

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)  # SplitMix64 (Steele, Lea, Flood 2014), as signed 64-bit integers
MIX = ((30, 0xBF58476D1CE4E5B9 - (1 << 64)), (27, 0x94D049BB133111EB - (1 << 64)))
EXTRA = 32  # candidates beyond top-k that near-ties may bring in
FEW = 64  # candidates that most often hold the whole nucleus
LOGPROB_SHARE = 0.25  # a log-probability moves less than a difference of logits: the normaliser averages


@dataclass
class TokenChoices:
    """One entry a row. `normaliser` is the log-sum-exp of its logits, `margin` the tolerance in logit units."""

    tokens: list[int]
    margin_ok: list[bool]
    logits: list[float]
    normaliser: list[float]
    margin: list[float]


def noise_key(sampling: Sampling, problem_id: str, index: int, step: int) -> int:
    """A signed 64-bit key for the noise of one step of one sample."""
    text = f"{sampling.seed}\x1f{problem_id}\x1f{index}\x1f{step}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def next_tokens(
    logits: Tensor, sampling: Sampling, keys: Sequence[int], tolerance: float, margins: Tensor | None = None
) -> TokenChoices:
    """Choose a token for each row of float32 [rows, vocabulary]; with `tolerance` 0 `margin_ok` is always true.

    `margins` are the tolerances in logit units, [rows], where they do not follow from these logits."""
    with torch.inference_mode():
        margins = row_margins(logits, tolerance) if margins is None else margins
        if sampling.temperature == 0:
            tokens, margin_ok = _lead(logits, margins)
        else:
            seeds = torch.tensor(keys, device=logits.device).unsqueeze(1)
            tokens, margin_ok = _sample(logits, sampling, seeds, margins.double() / sampling.temperature)
        own = logits.gather(1, tokens.unsqueeze(1)).squeeze(1)
        columns = torch.stack(
            [tokens, margin_ok | (tolerance == 0), own, logits.logsumexp(-1), margins], dim=0
        )
        found, certain, values, normaliser, in_logits = columns.double().tolist()
    return TokenChoices([int(t) for t in found], [bool(s) for s in certain], values, normaliser, in_logits)


def row_margins(logits: Tensor, tolerance: float) -> Tensor:
    """The tolerance of each row in logit units, [rows]. Raises BackendFault on NaN logits."""
    low, high = logits.aminmax(dim=-1)
    largest = torch.maximum(low.abs(), high.abs())
    if not bool(largest.isfinite().all()):
        if bool(high.isnan().any()):
            raise BackendFault(
                "the model's logits are not numbers (NaN): try dtype float32, or check the weights"
            )
        largest = logits.abs().masked_fill(logits.isinf(), 0.0).amax(-1)
    return tolerance * largest


def gumbel(seeds: Tensor, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise, float64, for seeds int64 [rows, 1] and token ids [rows or 1, n]."""
    z = seeds + (tokens + 1) * GOLDEN
    part = torch.empty_like(
        z
    )  # in place: a batch of a large vocabulary is megabytes, and fresh pages are slow
    for shift, factor in MIX:
        z.bitwise_xor_(_right(z, shift, part)).mul_(factor)
    z.bitwise_xor_(_right(z, 31, part))
    uniform = _right(z, 11, part).double().add_(0.5).mul_(2.0**-53)
    return uniform.log_().neg_().log_().neg_()


def _right(z: Tensor, by: int, into: Tensor) -> Tensor:
    """Logical shift: torch's is arithmetic."""
    return torch.bitwise_right_shift(z, by, out=into).bitwise_and_((1 << (64 - by)) - 1)


def _lead(scores: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
    """The first of each row, and whether it leads by more than the margin."""
    best = scores.topk(2, dim=-1)
    return best.indices[:, 0], best.values[:, 0] - best.values[:, 1] > margin


def _sample(logits: Tensor, sampling: Sampling, seeds: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
    size, top_p = logits.shape[1], sampling.top_p
    scaled = logits.double().div_(sampling.temperature)
    few = 0 < sampling.top_k < size
    if top_p >= 1.0 and not few:
        return _lead(_noisy(scaled, seeds), margin)
    top_k = sampling.top_k if few else size
    width = min(size, top_k + EXTRA if few else FEW)
    tokens, margin_ok, wider = _sample_among(logits, scaled, top_k, top_p, seeds, margin, width)
    if width < size and not few and bool(wider.any()):
        rows = wider.nonzero().squeeze(1)
        found, certain = _sample_of_all(scaled[rows], top_p, seeds[rows], margin[rows])
        tokens[rows], margin_ok[rows] = found, True
        wider[rows] = ~certain
    if width < size and bool(wider.any()):
        rows = wider.nonzero().squeeze(1)
        tokens[rows], margin_ok[rows], _ = _sample_among(
            logits[rows], scaled[rows], top_k, top_p, seeds[rows], margin[rows], size
        )
    return tokens, margin_ok


def _sample_among(
    logits: Tensor, scaled: Tensor, top_k: int, top_p: float, seeds: Tensor, margin: Tensor, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample among the `width` best: tokens, their `margin_ok`, whether further ones may be admitted."""
    values, ids, certainly, possibly = _admitted(logits, scaled, top_k, top_p, margin, width)
    noisy = (values + gumbel(seeds, ids)).masked_fill(~possibly, -torch.inf)
    at, margin_ok = _lead(noisy, margin)
    at = at.unsqueeze(1)
    return ids.gather(1, at).squeeze(1), margin_ok & certainly.gather(1, at).squeeze(1), possibly[:, -1]


def _sample_of_all(scaled: Tensor, top_p: float, seeds: Tensor, margin: Tensor) -> tuple[Tensor, Tensor]:
    """The winner among all tokens, and whether it certainly wins within the nucleus: usually it does, since the nucleus
    holds most of the probability. Saves sorting the vocabulary."""
    tokens, margin_ok = _lead(_noisy(scaled, seeds), margin)
    edge = scaled.gather(1, tokens.unsqueeze(1)) - margin.unsqueeze(1)
    mass = (scaled - scaled.logsumexp(-1, keepdim=True)).exp_().masked_fill_(scaled < edge, 0.0).sum(-1)
    return tokens, margin_ok & (mass < top_p - margin / 2)


def _noisy(scaled: Tensor, seeds: Tensor) -> Tensor:
    every = torch.arange(scaled.shape[1], device=scaled.device).unsqueeze(0)
    return gumbel(seeds, every).add_(scaled)


def _admitted(
    logits: Tensor, scaled: Tensor, top_k: int, top_p: float, margin: Tensor, width: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The `width` best candidates, best first: values, ids, certainly admitted, possibly admitted.

    Without a margin a candidate is admitted when its rank is below top_k and the probability of those before
    it, within the top k, is below top_p. Its rank may move among the candidates within the margin of it,
    and a sum of probabilities by at most half the margin.
    """
    if width == logits.shape[1]:
        ids = logits.sort(dim=-1, descending=True, stable=True).indices
    else:
        ids = logits.topk(width, dim=-1).indices
    values = scaled.gather(1, ids)
    whole = values[:, :top_k] if top_k < scaled.shape[1] else scaled
    mass = (values - whole.logsumexp(-1, keepdim=True)).exp()
    before = mass.cumsum(-1) - mass
    down, slack = (-values).contiguous(), margin.unsqueeze(1)
    if not bool(margin.any()):
        kept = (torch.arange(width, device=scaled.device) < top_k) & (before < top_p)
        return values, ids, kept, kept
    first = torch.searchsorted(down, down - slack)
    last = torch.searchsorted(down, down + slack, right=True) - 1
    possibly = (first < top_k) & (before.gather(1, first) < top_p + slack / 2)
    certainly = (last < top_k) & (before.gather(1, last) < top_p - slack / 2)
    return values, ids, certainly, possibly
