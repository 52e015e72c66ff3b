"""Greedy decoding and sampling, one row a sample, and what they share with beam search: steps, the rechecker.

A decoding strategy owns some rows of the batch for each job. `advance` takes their next logits and returns a
`DecodeStep` for each job: which of its rows continue (by number, so that rows can be dropped, duplicated and
reordered), with which token, and which samples are finished. It neither touches the cache nor knows which rows are
neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from harness.backends.hf.decode_jobs import DecodeJob
from harness.backends.hf.decoding.logits_processors import LogitsProcessors
from harness.backends.hf.decoding.next_token import (
    LOGPROB_SHARE,
    TokenChoices,
    next_tokens,
    noise_key,
    row_margins,
)
from harness.backends.hf.model_runner import ModelRunner, SingleResult
from harness.backends.hf.tokenizer import Codec
from harness.schema import Sampling

Finish = Literal["stop", "eos", "length"]
DIGITS = 2  # of a recorded log-probability: coarse enough that rounding seldom needs a recomputation
WATCHED = 16  # tokens at the head of a distribution, whose noise matters


@dataclass(frozen=True)
class FinishedSample:
    """Token ids without the end-of-text; `count` tokens were generated in all."""

    index: int
    ids: tuple[int, ...]
    finish: Finish
    count: int
    logprob: float


@dataclass
class DecodeStep:
    """How a job goes on: row i continues row `parents[i]` with `tokens[i]`; without tokens the job is over."""

    parents: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    finished: list[FinishedSample] = field(default_factory=list)


@dataclass
class DecodeStats:
    """Counters of one engine. `noise` is the largest deviation seen, in tolerances: it must stay below 1."""

    tokens: int = 0
    decisions: int = 0
    near_ties: int = 0  # decisions within the margin, made again on a single sequence
    logprobs: int = 0
    logprob_near_ties: int = 0  # log-probabilities too near a rounding boundary
    single: int = 0  # sequences recomputed on their own, for either reason
    noise: float = 0.0
    shortened: int = 0
    halvings: int = 0
    prefilled: int = 0  # prompt tokens computed
    reused: int = 0  # prompt tokens taken from the shared prefix


class Rechecker:
    """Recomputes near ties on the single sequence, and counts them. Tolerance 0 never rechecks: outputs may then depend
    on the batch."""

    def __init__(self, runner: ModelRunner, tolerance: float, stats: DecodeStats) -> None:
        self.runner = runner
        self.tolerance = tolerance
        self.stats = stats

    def single(self, prompt: tuple[int, ...], ids: Sequence[int], batched: Tensor) -> SingleResult:
        """The row computed as a single sequence; `batched` are its logits from the batch."""
        self.stats.single += 1
        found = self.runner.single(prompt, ids)
        with torch.inference_mode():
            head = found.logits.topk(min(WATCHED, found.logits.shape[0]))
            moved = batched[head.indices] - head.values
            allowed = self.tolerance * float(found.logits.abs().masked_fill(found.logits.isinf(), 0.0).amax())
            self.stats.noise = max(self.stats.noise, float(moved.max() - moved.min()) / max(allowed, 1e-30))
        return found

    def logprobs(self, prompt: tuple[int, ...], ids: Sequence[int]) -> list[float]:
        """The tokens' log-probabilities, computed on the single sequence."""
        self.stats.single += 1
        return self.runner.single(prompt, ids).logprobs

    def logprob(self, prompt: tuple[int, ...], ids: Sequence[int], total: float, error: float) -> float:
        """The sum rounded to DIGITS; recomputed on the single sequence if `error` reaches a rounding boundary."""
        self.stats.logprobs += 1
        unit = 10.0**-DIGITS
        to_boundary = abs((total / unit) % 1.0 - 0.5) * unit
        if self.tolerance > 0 and to_boundary <= error:
            self.stats.logprob_near_ties += 1
            self.stats.single += 1
            total = self.runner.single(prompt, ids).total
        return round(total, DIGITS) + 0.0  # -0.0 and 0.0 are one value


@dataclass
class SamplingState:
    """A sample in progress. `variance` is that of the error of `total`, the tokens' summed log-probability."""

    job: DecodeJob
    ids: list[int] = field(default_factory=list)
    total: float = 0.0
    variance: float = 0.0


class SamplingDecoder:
    """Greedy decoding and sampling: one row a job."""

    width = 1

    def __init__(
        self, codec: Codec, sampling: Sampling, rechecker: Rechecker, processors: LogitsProcessors
    ) -> None:
        self.codec = codec
        self.sampling = sampling
        self.rechecker = rechecker
        self.processors = processors

    def begin(self, job: DecodeJob) -> SamplingState:
        return SamplingState(job)

    def advance(self, states: Sequence[SamplingState], logits: Tensor) -> list[DecodeStep]:
        keys = [
            noise_key(self.sampling, s.job.request.problem_id, s.job.indices[0], len(s.ids)) for s in states
        ]
        choices = self._next_tokens(states, logits, keys)
        self.rechecker.stats.decisions += len(states)
        steps = []
        for row, state in enumerate(states):
            token, value = choices.tokens[row], choices.logits[row]
            if not choices.margin_ok[row]:
                self.rechecker.stats.near_ties += 1
                found = self.rechecker.single(state.job.prompt, state.ids, logits[row])
                scores = self.processors(found.logits.unsqueeze(0), [state.job.prompt], [state.ids])
                token = next_tokens(scores, self.sampling, keys[row : row + 1], 0.0).tokens[0]
                value = float(logits[row, token])
            gain = value - choices.normaliser[row]
            state.ids.append(token)
            state.total += gain
            state.variance += logprob_error(gain, choices.margin[row]) ** 2
            steps.append(self._step(state, token))
        return steps

    def _next_tokens(
        self, states: Sequence[SamplingState], logits: Tensor, keys: Sequence[int]
    ) -> TokenChoices:
        """The tokens chosen from the processed logits, with the model's own logits of them."""
        tolerance = self.rechecker.tolerance
        if not self.processors:
            return next_tokens(logits, self.sampling, keys, tolerance)
        with torch.inference_mode():
            processed = self.processors(logits, [s.job.prompt for s in states], [s.ids for s in states])
            margins = row_margins(logits, tolerance)
            choices = next_tokens(
                processed, self.sampling, keys, tolerance, margins * self.processors.error_factor
            )
            tokens = torch.tensor(choices.tokens, device=logits.device).unsqueeze(1)
            values = logits.gather(1, tokens).squeeze(1).tolist()
            return TokenChoices(
                choices.tokens, choices.margin_ok, values, logits.logsumexp(-1).tolist(), margins.tolist()
            )

    def _step(self, state: SamplingState, token: int) -> DecodeStep:
        finish = finish_reason(state.ids, state.job, self.codec, self.sampling.stop)
        if finish is None:
            return DecodeStep([0], [token])
        job = state.job
        logprob = self.rechecker.logprob(job.prompt, state.ids, state.total, math.sqrt(state.variance))
        return DecodeStep(finished=[finished_sample(job.indices[0], state.ids, finish, logprob)])


def logprob_error(logprob: float, margin: float) -> float:
    """How far a log-probability can be off: d log p = (1 - p) (own error - mean error of the others)."""
    return margin * LOGPROB_SHARE * -math.expm1(min(logprob, 0.0))


def finish_reason(ids: Sequence[int], job: DecodeJob, codec: Codec, stop: Sequence[str]) -> Finish | None:
    """Why a sample ends with its newest token; None if it goes on."""
    if ids[-1] in codec.eos or ids[-1] in job.ends:
        return "eos"
    if codec.ends_with_stop(ids, stop, job.opened):
        return "stop"
    return "length" if len(ids) >= job.limit else None


def finished_sample(index: int, ids: Sequence[int], finish: Finish, logprob: float) -> FinishedSample:
    kept = ids[:-1] if finish == "eos" else ids
    return FinishedSample(index, tuple(kept), finish, len(ids), logprob)
