"""Beam search, with the outcome of transformers' `generate(num_beams=k, early_stopping=False,
length_penalty=1)`.

Each step ranks all continuations of the running beams by their summed log-probability. Of the first k, those that end
(end-of-text, stop string, maximum length) join the finished beams; the first k that do not end go on. The search is
over when k are finished and the best running beam, divided by its length so far, is no better than the k-th of them.
Finished samples are ranked by summed log-probability divided by their number of tokens.

Only a few comparisons decide: at the k-th place, at the last place that goes on, the one that ends the search, and the
final order. A near tie among them is decided on beams computed as single sequences (see hf). Equal sums are ordered by
tokens, so the outcome is deterministic.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from itertools import pairwise

import torch
from torch import Tensor

from harness.backends.hf.decode_jobs import DecodeJob
from harness.backends.hf.decoding.logits_processors import LogitsProcessors
from harness.backends.hf.decoding.next_token import row_margins
from harness.backends.hf.decoding.sampling import (
    DecodeStep,
    Finish,
    FinishedSample,
    Rechecker,
    finish_reason,
    finished_sample,
    logprob_error,
)
from harness.backends.hf.tokenizer import Codec
from harness.errors import BackendFault
from harness.schema import Sampling

PAIR = 2.0  # two sums that are compared may be off in opposite directions, by this many times their errors


@dataclass(frozen=True)
class Beam:
    """A sequence and its summed log-probability; `variance` is that of the sum's error, 0 for a single sequence.

    Beams are ranked by `total`, penalties included; `logprob` is the model's own sum.
    """

    ids: tuple[int, ...] = ()
    total: float = 0.0
    logprob: float = 0.0
    variance: float = 0.0
    finish: Finish | None = None
    parent: int = 0

    @property
    def score(self) -> float:
        return self.total / len(self.ids)

    @property
    def error(self) -> float:
        """How far `score` may be off."""
        return math.sqrt(self.variance) / len(self.ids)

    @property
    def best_first(self) -> tuple[float, tuple[int, ...]]:
        return (-self.total, self.ids)


Pair = tuple[Beam, Beam]


@dataclass
class BeamGroup:
    """The beams of one job: the running ones, in the order of their rows, and the finished ones."""

    job: DecodeJob
    running: list[Beam] = field(default_factory=lambda: [Beam()])
    finished: list[Beam] = field(default_factory=list)


class BeamSearchDecoder:
    """Beam search: a job begins as one row and grows to `sampling.beams`."""

    def __init__(
        self, codec: Codec, sampling: Sampling, rechecker: Rechecker, processors: LogitsProcessors
    ) -> None:
        self.codec = codec
        self.sampling = sampling
        self.rechecker = rechecker
        self.processors = processors
        self.width = sampling.beams

    def begin(self, job: DecodeJob) -> BeamGroup:
        return BeamGroup(job)

    def advance(self, states: Sequence[BeamGroup], logits: Tensor) -> list[DecodeStep]:
        steps, base = [], 0
        for state, ranked in zip(states, self._extend(states, logits), strict=True):
            rows = len(state.running)
            steps.append(self._advance(state, logits[base : base + rows], ranked))
            base += rows
        return steps

    def _advance(self, group: BeamGroup, logits: Tensor, ranked: list[Beam]) -> DecodeStep:
        self.rechecker.stats.decisions += 1
        unfinished, ended, ties = self._split(ranked)
        if ties:
            self.rechecker.stats.near_ties += 1
            unfinished, ended, _ = self._split(self._recheck(group, logits, ranked, ties))
            unfinished, ended = (
                self._batch_sums(group, logits, unfinished),
                self._batch_sums(group, logits, ended),
            )
        group.finished += ended
        if not unfinished or self._is_done(group, unfinished):
            return DecodeStep(finished=self._results(group))
        group.running = unfinished
        return DecodeStep([beam.parent for beam in unfinished], [beam.ids[-1] for beam in unfinished])

    def _extend(self, groups: Sequence[BeamGroup], logits: Tensor, batched: bool = True) -> list[list[Beam]]:
        """Of each group the best continuations, best first: enough that k of them go on, and one more.

        What is among the best of a group is among the best of its row, so only those are summed.
        """
        beams = [beam for group in groups for beam in group.running]
        prompts = [group.job.prompt for group in groups for _ in group.running]
        ends = max(len(self.codec.eos | group.job.ends) for group in groups)
        with torch.inference_mode():
            own = logits.log_softmax(-1)
            gains = self.processors(own, prompts, [beam.ids for beam in beams])
            best = gains.topk(min(logits.shape[1], (1 + ends) * self.width + 1))
            totals = torch.tensor([[beam.total] for beam in beams], dtype=torch.float64, device=logits.device)
            sums, tokens = (best.values + totals).tolist(), best.indices.tolist()
            gained = own.gather(1, best.indices).tolist()
            margins = row_margins(logits, self.rechecker.tolerance if batched else 0.0).tolist()
        found, base = [], 0
        for group in groups:
            rows = range(base, base + len(group.running))
            places = [(-total, row, at) for row in rows for at, total in enumerate(sums[row])]
            found.append(
                [
                    self._extended(group, row - base, tokens[row][at], -total, gained[row][at], margins[row])
                    for total, row, at in nsmallest(best.values.shape[1], places)
                    if total < math.inf  # else it is banned
                ]
            )
            found[-1].sort(key=lambda beam: beam.best_first)
            base += len(group.running)
        return found

    def _extended(
        self, group: BeamGroup, row: int, token: int, total: float, gain: float, margin: float
    ) -> Beam:
        """A running beam with one more token."""
        old = group.running[row]
        ids = (*old.ids, token)
        variance = old.variance + (self.processors.error_factor * logprob_error(gain, margin)) ** 2
        finish = finish_reason(ids, group.job, self.codec, self.sampling.stop)
        return Beam(ids, total, old.logprob + gain, variance, finish, row)

    def _recheck(
        self, group: BeamGroup, logits: Tensor, ranked: Sequence[Beam], ties: Sequence[Pair]
    ) -> list[Beam]:
        """The continuations, of beams that are part of a near tie on the single sequence."""
        rows = {
            c.parent for c in ranked if any(self._near_tie(c, a) or self._near_tie(c, b) for a, b in ties)
        }
        mixed, beams = logits.clone(), list(group.running)
        for row in rows:
            found = self.rechecker.single(group.job.prompt, beams[row].ids, logits[row])
            mixed[row] = found.logits
            beams[row] = self._with_single_sums(group, beams[row], found.logprobs)
        return self._extend([replace(group, running=beams)], mixed, batched=False)[0]

    def _batch_sums(self, group: BeamGroup, logits: Tensor, beams: Sequence[Beam]) -> list[Beam]:
        """The same beams, with the sums and variances that follow from the batch's."""
        own = logits.log_softmax(-1)
        gains = self._processed(group, own, group.running)
        margins = row_margins(logits, self.rechecker.tolerance).tolist()
        found = []
        for beam in beams:
            old, place = group.running[beam.parent], (beam.parent, beam.ids[-1])
            gain, logprob = float(gains[place]), float(own[place])
            variance = (
                old.variance
                + (self.processors.error_factor * logprob_error(logprob, margins[beam.parent])) ** 2
            )
            total, whole = old.total + gain, old.logprob + logprob
            found.append(replace(beam, total=total, logprob=whole, variance=variance))
        return found

    def _processed(self, group: BeamGroup, gains: Tensor, beams: Sequence[Beam]) -> Tensor:
        """The log-probabilities after each beam, as the logits processors change them."""
        return self.processors(gains, [group.job.prompt] * len(beams), [beam.ids for beam in beams])

    def _with_single_sums(self, group: BeamGroup, beam: Beam, logprobs: Sequence[float]) -> Beam:
        """The beam with the sums of its tokens on the single sequence."""
        total = self.processors.total(logprobs, group.job.prompt, beam.ids)
        return replace(beam, total=total, logprob=sum(logprobs), variance=0.0)

    def _split(self, ranked: Sequence[Beam]) -> tuple[list[Beam], list[Beam], list[Pair]]:
        """Which beams go on, which have ended, and the near ties between the two sides of a cut."""
        k = self.width
        unended = [beam for beam in ranked if beam.finish is None]
        unfinished = unended[:k]
        ended = [beam for beam in ranked[:k] if beam.finish is not None]
        ties: list[Pair] = []
        if len(ranked) > k:
            ties += [(beam, ranked[k]) for beam in ended]
            ties += [(ranked[k - 1], beam) for beam in ranked[k:] if beam.finish is not None]
        if len(unended) > k:
            ties.append((unended[k - 1], unended[k]))
        return unfinished, ended, [(a, b) for a, b in ties if self._near_tie(a, b)]

    def _near_tie(self, a: Beam, b: Beam) -> bool:
        variance = a.variance + b.variance
        return variance > 0 and abs(a.total - b.total) <= PAIR * math.sqrt(variance)

    def _is_done(self, group: BeamGroup, unfinished: list[Beam]) -> bool:
        """Whether no running beam can still replace one of the k best finished ones."""
        k = self.width
        if len(group.finished) < k:
            return False
        best, worst = unfinished[0], sorted(group.finished, key=lambda beam: -beam.score)[k - 1]
        if abs(best.score - worst.score) <= PAIR * (best.error + worst.error):
            rivals = [b for b in unfinished if abs(b.score - best.score) <= PAIR * (b.error + best.error)]
            best = max((self._single(group, beam) for beam in rivals), key=lambda beam: beam.score)
            group.finished = self._recheck_near(group, group.finished, {worst})
            worst = sorted(group.finished, key=lambda beam: -beam.score)[k - 1]
        return best.score <= worst.score

    def _recheck_near(self, group: BeamGroup, beams: Iterable[Beam], around: set[Beam]) -> list[Beam]:
        """The beams; those that may be as good as one of `around` recomputed on the single sequence."""
        return [
            self._single(group, b)
            if any(abs(b.score - a.score) <= PAIR * (b.error + a.error) for a in around)
            else b
            for b in beams
        ]

    def _single(self, group: BeamGroup, beam: Beam) -> Beam:
        if beam.variance == 0:
            return beam
        return self._with_single_sums(group, beam, self.rechecker.logprobs(group.job.prompt, beam.ids))

    def _results(self, group: BeamGroup) -> list[FinishedSample]:
        """The wanted samples: sample i is the i-th best."""
        ranked = sorted(group.finished, key=lambda beam: -beam.score)
        pairs = pairwise(ranked)
        near = {x for a, b in pairs if abs(a.score - b.score) <= PAIR * (a.error + b.error) for x in (a, b)}
        exact = [self._single(group, beam) if beam in near else beam for beam in ranked]
        ranked = sorted(exact, key=lambda beam: (-beam.score, beam.ids))
        wanted = group.job.indices
        if max(wanted) >= len(ranked):
            raise BackendFault(
                f"beam search found {len(ranked)} samples of {max(wanted) + 1}: lower sampling.samples"
            )
        found = []
        for index in wanted:
            beam = ranked[index]
            error = math.sqrt(beam.variance)
            logprob = self.rechecker.logprob(group.job.prompt, beam.ids, beam.logprob, error)
            found.append(finished_sample(index, beam.ids, beam.finish or "length", logprob))
        return found
