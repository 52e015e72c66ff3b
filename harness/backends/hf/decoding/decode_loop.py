"""Which jobs are decoded together, and when the next ones begin (continuous batching).

The number of slots is fixed; a job takes as many of them as its decoding strategy has rows. Jobs wait in a queue,
longest prompt first. The prompts at its head are prefilled together, as many as the slots could take, and kept until
all samples of each have begun: so the n samples of a prompt share one prefill, and a slot that becomes free is filled
in the same step, without waiting for others to become free.

Once the queue is empty, free slots are dropped when they are many. Models whose rows cannot be replaced one at a time
(see kv_cache) admit new jobs when all slots are free.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from harness.backends import heartbeat
from harness.backends.hf.adapters.multi_lora import BASE, adapter_of
from harness.backends.hf.decode_jobs import DecodeJob
from harness.backends.hf.decoding.sampling import DecodeStep, FinishedSample
from harness.backends.hf.kv_cache import DecodeBatch, KVCacheSlots
from harness.backends.hf.model_runner import ModelRunner
from harness.backends.hf.prefix_cache import PrefixCache

PREFILL = 8192  # most tokens, padding included, of prompts that are computed together
SPARE = 8  # free slots are dropped when they are at least one in this many


class DecodingStrategy(Protocol):
    """SamplingDecoder or BeamSearchDecoder; `width` is the most rows of a job."""

    @property
    def width(self) -> int: ...

    def begin(self, job: DecodeJob) -> Any: ...

    def advance(self, states: Sequence[Any], logits: Tensor) -> list[DecodeStep]: ...


@dataclass
class RunningJob:
    """A job in progress: its slots, and of these the ones that hold its rows, in the rows' order."""

    number: int
    state: Any
    slots: list[int]
    rows: list[int]
    steps: int = 0


class DecodeLoop:
    """One pass over `jobs`, at most `at_once` of them at a time."""

    def __init__(
        self,
        runner: ModelRunner,
        strategy: DecodingStrategy,
        prefix: PrefixCache,
        jobs: Sequence[DecodeJob],
        at_once: int,
    ) -> None:
        self.runner = runner
        self.strategy = strategy
        self.prefix = prefix
        self.jobs = jobs
        self.at_once = at_once
        self.size = at_once * strategy.width
        self.waiting = deque(range(len(jobs)))
        self.running: list[RunningJob] = []
        self.prefilled: DecodeBatch | None = None  # prompts computed ahead; `rows` says which row is whose
        self.rows: dict[tuple[int, ...], int] = {}
        self.batch: DecodeBatch | KVCacheSlots | None = None
        self.free: list[int] = []
        self.tokens: list[int] = []
        self.slot_adapters: list[int] = []  # of the row in each slot; BASE without several adapters

    def run(self) -> Iterator[tuple[int, list[FinishedSample]]]:
        """Yield (number of the job, its samples) as each is finished."""
        while self.waiting or self.running:
            while fresh := self._admit():
                yield from self._advance(fresh)
            if not self.running:
                continue
            self._compact()
            assert self.batch is not None
            self.runner.set_row_adapters(self.slot_adapters)
            self.runner.step(self.batch, self.tokens)
            heartbeat.beat()
            yield from self._advance(self.running)

    # ------------------------------------------------------------ admission

    def _admit(self) -> list[RunningJob]:
        """Begin as many of the waiting jobs as there are slots for."""
        if not self.waiting or not self._prefill_next():
            return []
        fresh, placed = [], []
        while self.waiting and len(self.free) >= self.strategy.width:
            row = self.rows.get(self.jobs[self.waiting[0]].prompt)
            if row is None:
                break
            number = self.waiting.popleft()
            slots = [self.free.pop() for _ in range(self.strategy.width)]
            for slot in slots:
                self.slot_adapters[slot] = adapter_of(self.jobs[number].prompt)
            placed += [(row, slot) for slot in slots]
            fresh.append(RunningJob(number, self.strategy.begin(self.jobs[number]), slots, slots[:1]))
        if fresh:
            self._insert([row for row, _ in placed], [slot for _, slot in placed])
            self.running += fresh
        return fresh

    def _prefill_next(self) -> bool:
        """Prefill the prompt of the first waiting job; False if there are no slots for the job yet."""
        if self.batch is None or (isinstance(self.batch, DecodeBatch) and not self.running):
            self.batch = None
            self.free = list(range(self.size))[::-1]
            self.tokens, self.slot_adapters = [0] * self.size, [BASE] * self.size
        if len(self.free) < self.strategy.width or isinstance(self.batch, DecodeBatch):
            return False
        if self.jobs[self.waiting[0]].prompt not in self.rows:
            self.prefilled = None  # before the next ones need the memory
            prompts = self._next_prompts()
            self.prefilled = self.prefix.prefill(prompts)
            self.rows = {prompt: row for row, prompt in enumerate(prompts)}
        return True

    def _next_prompts(self) -> list[tuple[int, ...]]:
        """Distinct prompts at the head of the queue, enough to fill the slots: all with the shared prefix, or none."""
        found: dict[tuple[int, ...], None] = {}
        longest, matches = 0, None
        for number in islice(self.waiting, self.at_once):
            prompt = self.jobs[number].prompt
            longest = max(longest, len(prompt))
            if matches is None:
                matches = self.prefix.matches(prompt)
            if found and (self.prefix.matches(prompt) != matches or longest * (len(found) + 1) > PREFILL):
                break
            found[prompt] = None
        return list(found)

    def _insert(self, rows: list[int], slots: list[int]) -> None:
        prefilled = self.prefilled
        assert prefilled is not None
        if self.batch is None and prefilled.is_plain:
            self.batch = KVCacheSlots(prefilled, self.size)
        if isinstance(self.batch, KVCacheSlots):
            self.batch.insert(prefilled, rows, slots)
            return
        # The prefilled rows become the batch itself: prompts that have not begun are computed again.
        prefilled.select(rows)  # slots are taken from 0 upwards
        self.batch, self.prefilled, self.rows, self.free = prefilled, None, {}, []
        self.tokens, self.slot_adapters = [0] * len(rows), self.slot_adapters[: len(rows)]

    # ------------------------------------------------------------ decoding

    def _advance(self, jobs: Sequence[RunningJob]) -> Iterator[tuple[int, list[FinishedSample]]]:
        """Let the strategy choose the next tokens of these jobs; yield the finished ones."""
        batch = self.batch
        assert batch is not None
        rows = [slot for job in jobs for slot in job.rows]
        logits = batch.logits
        if rows != list(range(len(logits))):
            logits = logits[torch.tensor(rows, device=logits.device)]
        steps = self.strategy.advance([job.state for job in jobs], logits)
        copies, newest, finished = list[tuple[int, int]](), 0, list[tuple[int, list[FinishedSample]]]()
        for job, step in zip(jobs, steps, strict=True):
            if step.tokens:
                made = self._assign_slots(job, step)
                copies += made
                newest = max(newest, job.steps if made else 0)
                job.steps += 1
            else:
                batch.release(job.slots)
                self.free += job.slots
                finished.append((job.number, step.finished))
        if newest:  # before the first step all slots of a job hold the same prompt
            batch.copy([source for source, _ in copies], [target for _, target in copies], newest)
        if finished:
            over = {number for number, _ in finished}
            self.running = [job for job in self.running if job.number not in over]
        yield from finished

    def _assign_slots(self, job: RunningJob, step: DecodeStep) -> list[tuple[int, int]]:
        """Assign the step's rows to the job's slots; return which slots have to be copied to which others."""
        sources = [job.rows[parent] for parent in step.parents]
        spare = [slot for slot in job.slots if slot not in sources]
        kept, copies, job.rows = set[int](), list[tuple[int, int]](), []
        for source, token in zip(sources, step.tokens, strict=True):
            slot = source
            if source in kept:
                slot = spare.pop()
                copies.append((source, slot))
            kept.add(source)
            job.rows.append(slot)
            self.tokens[slot] = token
        return copies

    def _compact(self) -> None:
        """Drop free slots that no job will take, when they are enough to be worth a copy."""
        batch, total = self.batch, len(self.tokens)
        used = sorted(slot for job in self.running for slot in job.slots)
        if (self.waiting and isinstance(batch, KVCacheSlots)) or (total - len(used)) * SPARE < total:
            return
        assert batch is not None
        batch.select(used)
        place = {slot: at for at, slot in enumerate(used)}
        for job in self.running:
            job.slots = [place[slot] for slot in job.slots]
            job.rows = [place[slot] for slot in job.rows]
        self.tokens = [self.tokens[slot] for slot in used]
        self.slot_adapters = [self.slot_adapters[slot] for slot in used]
        self.free = []
