"""Searching one row at a time (greedy, drawn), and what it shares with beam search: jobs, moves, the referee.

A search method owns some rows of the lanes for each job. `advance` looks at their next logits and answers
with a Move a job: which of the rows go on (by number, so that rows can be dropped, doubled and reordered),
with which token, and which samples are complete. It does not touch the cache and does not know which rows
are neighbours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from harness.backends.hf.decoding.logits_processors import Shape
from harness.backends.hf.decoding.next_token import LOGPROB_SHARE, Picks, choose, noise_key, spread
from harness.backends.hf.model_runner import Alone, Network
from harness.backends.hf.tokenizer import Codec
from harness.schema import Request, Sampling

Finish = Literal["stop", "eos", "length"]
DIGITS = 2  # of a recorded log-probability: coarse enough that rounding seldom needs a recomputation
WATCHED = 16  # tokens at the head of a distribution, whose noise matters


@dataclass(frozen=True)
class Job:
    """One search: a sample of a request, or all its beams. `limit` is the most tokens there is room for."""

    request: Request
    indices: tuple[int, ...]
    prompt: tuple[int, ...]
    limit: int


@dataclass(frozen=True)
class Ended:
    """A complete sample: its tokens, end-of-text left out; `count` tokens were generated in all."""

    index: int
    ids: tuple[int, ...]
    finish: Finish
    count: int
    logprob: float


@dataclass
class Move:
    parents: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)


@dataclass
class Tally:
    """What happened, for the run's timings. `noise` is the largest seen, in tolerances: above 1 is bad."""

    tokens: int = 0
    decisions: int = 0
    close_calls: int = 0  # decisions that the batch's logits could not make
    logprobs: int = 0
    close_logprobs: int = 0  # log-probabilities that might have rounded the other way
    alone: int = 0  # sequences computed by themselves for either
    noise: float = 0.0
    shortened: int = 0
    halvings: int = 0
    prefilled: int = 0  # prompt tokens computed
    reused: int = 0  # prompt tokens taken from a prefix that was kept


class Referee:
    """Recomputes close calls alone, and counts them. Tolerance 0 never doubts, and gives up equal outputs."""

    def __init__(self, network: Network, tolerance: float, tally: Tally) -> None:
        self.network = network
        self.tolerance = tolerance
        self.tally = tally

    def alone(self, prompt: tuple[int, ...], ids: Sequence[int], batched: Tensor) -> Alone:
        """The row computed alone; `batched` are the logits that were in doubt."""
        self.tally.alone += 1
        found = self.network.alone(prompt, ids)
        with torch.inference_mode():
            head = found.logits.topk(min(WATCHED, found.logits.shape[0]))
            moved = batched[head.indices] - head.values
            allowed = self.tolerance * float(found.logits.abs().masked_fill(found.logits.isinf(), 0.0).amax())
            self.tally.noise = max(self.tally.noise, float(moved.max() - moved.min()) / max(allowed, 1e-30))
        return found

    def logprobs(self, prompt: tuple[int, ...], ids: Sequence[int]) -> list[float]:
        """The tokens' log-probabilities, of a sequence computed alone, where two sums were close."""
        self.tally.alone += 1
        return self.network.alone(prompt, ids).logprobs

    def logprob(self, prompt: tuple[int, ...], ids: Sequence[int], total: float, doubt: float) -> float:
        """The sum rounded to DIGITS, by the sequence alone where `doubt` reaches a rounding boundary."""
        self.tally.logprobs += 1
        unit = 10.0**-DIGITS
        to_boundary = abs((total / unit) % 1.0 - 0.5) * unit
        if self.tolerance > 0 and to_boundary <= doubt:
            self.tally.close_logprobs += 1
            self.tally.alone += 1
            total = self.network.alone(prompt, ids).total
        return round(total, DIGITS) + 0.0  # -0.0 and 0.0 are one value


@dataclass
class Row:
    """A sample in progress. `doubt` is the variance of `total`, the tokens' summed log-probability."""

    job: Job
    ids: list[int] = field(default_factory=list)
    total: float = 0.0
    doubt: float = 0.0


class Draws:
    """Greedy decoding and sampling: one row a job."""

    width = 1

    def __init__(self, codec: Codec, sampling: Sampling, referee: Referee, shape: Shape) -> None:
        self.codec = codec
        self.sampling = sampling
        self.referee = referee
        self.shape = shape

    def begin(self, job: Job) -> Row:
        return Row(job)

    def advance(self, states: Sequence[Row], logits: Tensor) -> list[Move]:
        keys = [
            noise_key(self.sampling, s.job.request.problem_id, s.job.indices[0], len(s.ids)) for s in states
        ]
        picks = self._choose(states, logits, keys)
        self.referee.tally.decisions += len(states)
        moves = []
        for row, state in enumerate(states):
            token, value = picks.tokens[row], picks.logits[row]
            if not picks.sure[row]:
                self.referee.tally.close_calls += 1
                found = self.referee.alone(state.job.prompt, state.ids, logits[row])
                own = self.shape(found.logits.unsqueeze(0), [state.job.prompt], [state.ids])
                token = choose(own, self.sampling, keys[row : row + 1], 0.0).tokens[0]
                value = float(logits[row, token])
            gain = value - picks.normaliser[row]
            state.ids.append(token)
            state.total += gain
            state.doubt += logprob_doubt(gain, picks.spread[row]) ** 2
            moves.append(self._move(state, token))
        return moves

    def _choose(self, states: Sequence[Row], logits: Tensor, keys: Sequence[int]) -> Picks:
        """The tokens by what the sampling makes of the logits, with the model's own values of them."""
        tolerance = self.referee.tolerance
        if not self.shape:
            return choose(logits, self.sampling, keys, tolerance)
        with torch.inference_mode():
            shaped = self.shape(logits, [s.job.prompt for s in states], [s.ids for s in states])
            room = spread(logits, tolerance)
            picks = choose(shaped, self.sampling, keys, tolerance, room * self.shape.stretch)
            tokens = torch.tensor(picks.tokens, device=logits.device).unsqueeze(1)
            values = logits.gather(1, tokens).squeeze(1).tolist()
            return Picks(picks.tokens, picks.sure, values, logits.logsumexp(-1).tolist(), room.tolist())

    def _move(self, state: Row, token: int) -> Move:
        finish = finished(state.ids, state.job.limit, self.codec, self.sampling.stop)
        if finish is None:
            return Move([0], [token])
        job = state.job
        logprob = self.referee.logprob(job.prompt, state.ids, state.total, math.sqrt(state.doubt))
        return Move(ended=[ended(job.indices[0], state.ids, finish, logprob)])


def logprob_doubt(logprob: float, spread: float) -> float:
    """How far a log-probability can be off: d log p = (1 - p) (own error - mean error of the others)."""
    return spread * LOGPROB_SHARE * -math.expm1(min(logprob, 0.0))


def finished(ids: Sequence[int], limit: int, codec: Codec, stop: Sequence[str]) -> Finish | None:
    """Why a sample ends with its newest token; None when it goes on."""
    if ids[-1] in codec.eos:
        return "eos"
    if codec.stopped(ids, stop):
        return "stop"
    return "length" if len(ids) >= limit else None


def ended(index: int, ids: Sequence[int], finish: Finish, logprob: float) -> Ended:
    kept = ids[:-1] if finish == "eos" else ids
    return Ended(index, tuple(kept), finish, len(ids), logprob)
