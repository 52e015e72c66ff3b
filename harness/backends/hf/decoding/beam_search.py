"""Beam search, with the outcome of transformers' `generate(num_beams=k, early_stopping=False,
length_penalty=1)`.

Each step ranks all continuations of the running beams by their summed log-probability. Of the first k,
those that end (end-of-text, stop string, no room) join the finished ones; the first k that do not end run
on. The search is over when k are finished and the best running beam, divided by its length so far, is no
better than the k-th of them. Finished samples are ranked by summed log-probability divided by their number
of tokens.

Only the edges decide: the k-th place, the last place that runs on, that comparison, and the order in the
end. A close edge is decided on beams computed alone (see hf). Equal sums are ordered by tokens, so that
nothing is left to chance.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import pairwise

import torch
from torch import Tensor

from harness.backends.hf.decoding.logits_processors import Shape
from harness.backends.hf.decoding.next_token import spread
from harness.backends.hf.decoding.sampling import (
    Ended,
    Finish,
    Job,
    Move,
    Referee,
    ended,
    finished,
    logprob_doubt,
)
from harness.backends.hf.tokenizer import Codec
from harness.errors import BackendFault
from harness.schema import Sampling

PAIR = 2.0  # two sums that are compared may be off in opposite directions, by this many times their doubts


@dataclass(frozen=True)
class Beam:
    """A sequence and its summed log-probability; `doubt` is that sum's variance, 0 when computed alone.

    `total` is what beams are ranked by, penalties included, `logprob` the model's own sum.
    """

    ids: tuple[int, ...] = ()
    total: float = 0.0
    logprob: float = 0.0
    doubt: float = 0.0
    finish: Finish | None = None
    parent: int = 0

    @property
    def score(self) -> float:
        return self.total / len(self.ids)

    @property
    def error(self) -> float:
        """How far `score` may be off."""
        return math.sqrt(self.doubt) / len(self.ids)

    @property
    def best_first(self) -> tuple[float, tuple[int, ...]]:
        return (-self.total, self.ids)


Edge = tuple[Beam, Beam]


@dataclass
class Group:
    """The beams of one job: running, in the order of their rows, and finished."""

    job: Job
    running: list[Beam] = field(default_factory=lambda: [Beam()])
    done: list[Beam] = field(default_factory=list)


class Beams:
    """Beam search: a job begins as one row and grows to `sampling.beams`."""

    def __init__(self, codec: Codec, sampling: Sampling, referee: Referee, shape: Shape) -> None:
        self.codec = codec
        self.sampling = sampling
        self.referee = referee
        self.shape = shape
        self.width = sampling.beams

    def begin(self, job: Job) -> Group:
        return Group(job)

    def advance(self, states: Sequence[Group], logits: Tensor) -> list[Move]:
        moves, base = [], 0
        for state, ranked in zip(states, self._extend(states, logits), strict=True):
            rows = len(state.running)
            moves.append(self._advance(state, logits[base : base + rows], ranked))
            base += rows
        return moves

    def _advance(self, group: Group, logits: Tensor, ranked: list[Beam]) -> Move:
        self.referee.tally.decisions += 1
        going, ending, edges = self._split(ranked)
        if edges:
            self.referee.tally.close_calls += 1
            going, ending, _ = self._split(self._again(group, logits, ranked, edges))
            going, ending = self._batched(group, logits, going), self._batched(group, logits, ending)
        group.done += ending
        if not going or self._settled(group, going):
            return Move(ended=self._results(group))
        group.running = going
        return Move([beam.parent for beam in going], [beam.ids[-1] for beam in going])

    def _extend(self, groups: Sequence[Group], logits: Tensor, doubted: bool = True) -> list[list[Beam]]:
        """Of each group the best continuations, best first: enough that k of them go on, and one more.

        What is among the best of a group is among the best of its row, so only those are summed.
        """
        beams = [beam for group in groups for beam in group.running]
        prompts = [group.job.prompt for group in groups for _ in group.running]
        with torch.inference_mode():
            own = logits.log_softmax(-1)
            gains = self.shape(own, prompts, [beam.ids for beam in beams])
            best = gains.topk(min(logits.shape[1], (1 + len(self.codec.eos)) * self.width + 1))
            totals = torch.tensor([[beam.total] for beam in beams], dtype=torch.float64, device=logits.device)
            sums, tokens = (best.values + totals).tolist(), best.indices.tolist()
            gained = own.gather(1, best.indices).tolist()
            spreads = spread(logits, self.referee.tolerance if doubted else 0.0).tolist()
        found, base = [], 0
        for group in groups:
            rows = range(base, base + len(group.running))
            places = [(-total, row, at) for row in rows for at, total in enumerate(sums[row])]
            found.append(
                [
                    self._longer(group, row - base, tokens[row][at], -total, gained[row][at], spreads[row])
                    for total, row, at in nsmallest(best.values.shape[1], places)
                    if total < math.inf  # else it is banned
                ]
            )
            found[-1].sort(key=lambda beam: beam.best_first)
            base += len(group.running)
        return found

    def _longer(self, group: Group, row: int, token: int, total: float, gain: float, spread: float) -> Beam:
        """A running beam with one more token."""
        old = group.running[row]
        ids = (*old.ids, token)
        doubt = old.doubt + (self.shape.stretch * logprob_doubt(gain, spread)) ** 2
        finish = finished(ids, group.job.limit, self.codec, self.sampling.stop)
        return Beam(ids, total, old.logprob + gain, doubt, finish, row)

    def _again(
        self, group: Group, logits: Tensor, ranked: Sequence[Beam], edges: Sequence[Edge]
    ) -> list[Beam]:
        """The continuations, those of beams that reach into a close edge computed alone."""
        rows = {c.parent for c in ranked if any(self._close(c, a) or self._close(c, b) for a, b in edges)}
        mixed, beams = logits.clone(), list(group.running)
        for row in rows:
            found = self.referee.alone(group.job.prompt, beams[row].ids, logits[row])
            mixed[row] = found.logits
            beams[row] = self._known(group, beams[row], found.logprobs)
        return self._extend([replace(group, running=beams)], mixed, doubted=False)[0]

    def _batched(self, group: Group, logits: Tensor, beams: Sequence[Beam]) -> list[Beam]:
        """The same beams with sums and doubts that carry on from the batch's."""
        own = logits.log_softmax(-1)
        gains = self._shaped(group, own, group.running)
        spreads = spread(logits, self.referee.tolerance).tolist()
        found = []
        for beam in beams:
            old, place = group.running[beam.parent], (beam.parent, beam.ids[-1])
            gain, logprob = float(gains[place]), float(own[place])
            doubt = old.doubt + (self.shape.stretch * logprob_doubt(logprob, spreads[beam.parent])) ** 2
            total, whole = old.total + gain, old.logprob + logprob
            found.append(replace(beam, total=total, logprob=whole, doubt=doubt))
        return found

    def _shaped(self, group: Group, gains: Tensor, beams: Sequence[Beam]) -> Tensor:
        """What the sampling makes of the log-probabilities after each beam."""
        return self.shape(gains, [group.job.prompt] * len(beams), [beam.ids for beam in beams])

    def _known(self, group: Group, beam: Beam, logprobs: Sequence[float]) -> Beam:
        """The beam with the sums that its tokens have when computed alone."""
        total = self.shape.total(logprobs, group.job.prompt, beam.ids)
        return replace(beam, total=total, logprob=sum(logprobs), doubt=0.0)

    def _split(self, ranked: Sequence[Beam]) -> tuple[list[Beam], list[Beam], list[Edge]]:
        """Which beams go on, which have ended, and the pairs on two sides of an edge that are close."""
        k = self.width
        unended = [beam for beam in ranked if beam.finish is None]
        going = unended[:k]
        ending = [beam for beam in ranked[:k] if beam.finish is not None]
        edges: list[Edge] = []
        if len(ranked) > k:
            edges += [(beam, ranked[k]) for beam in ending]
            edges += [(ranked[k - 1], beam) for beam in ranked[k:] if beam.finish is not None]
        if len(unended) > k:
            edges.append((unended[k - 1], unended[k]))
        return going, ending, [(a, b) for a, b in edges if self._close(a, b)]

    def _close(self, a: Beam, b: Beam) -> bool:
        doubt = a.doubt + b.doubt
        return doubt > 0 and abs(a.total - b.total) <= PAIR * math.sqrt(doubt)

    def _settled(self, group: Group, going: list[Beam]) -> bool:
        """Whether the finished beams can no longer be improved upon."""
        k = self.width
        if len(group.done) < k:
            return False
        best, worst = going[0], sorted(group.done, key=lambda beam: -beam.score)[k - 1]
        if abs(best.score - worst.score) <= PAIR * (best.error + worst.error):
            rivals = [b for b in going if abs(b.score - best.score) <= PAIR * (b.error + best.error)]
            best = max((self._alone(group, beam) for beam in rivals), key=lambda beam: beam.score)
            group.done = self._exact(group, group.done, {worst})
            worst = sorted(group.done, key=lambda beam: -beam.score)[k - 1]
        return best.score <= worst.score

    def _exact(self, group: Group, beams: Iterable[Beam], around: set[Beam]) -> list[Beam]:
        """The beams, with those alone that may be as good as one of `around`."""
        return [
            self._alone(group, b)
            if any(abs(b.score - a.score) <= PAIR * (b.error + a.error) for a in around)
            else b
            for b in beams
        ]

    def _alone(self, group: Group, beam: Beam) -> Beam:
        if beam.doubt == 0:
            return beam
        return self._known(group, beam, self.referee.logprobs(group.job.prompt, beam.ids))

    def _results(self, group: Group) -> list[Ended]:
        """The wanted samples: sample i is the i-th best."""
        ranked = sorted(group.done, key=lambda beam: -beam.score)
        pairs = pairwise(ranked)
        near = {x for a, b in pairs if abs(a.score - b.score) <= PAIR * (a.error + b.error) for x in (a, b)}
        exact = [self._alone(group, beam) if beam in near else beam for beam in ranked]
        ranked = sorted(exact, key=lambda beam: (-beam.score, beam.ids))
        wanted = group.job.indices
        if max(wanted) >= len(ranked):
            raise BackendFault(
                f"beam search found {len(ranked)} samples of {max(wanted) + 1}: lower sampling.samples"
            )
        found = []
        for index in wanted:
            beam = ranked[index]
            error = math.sqrt(beam.doubt)
            logprob = self.referee.logprob(group.job.prompt, beam.ids, beam.logprob, error)
            found.append(ended(index, beam.ids, beam.finish or "length", logprob))
        return found
