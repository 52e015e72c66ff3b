"""Which searches run together, and when the next ones begin.

There are so many slots; a job has as many of them as its search method has rows. Jobs wait in a line, longest
prompt first. The prompts at its head are computed together, as many as the slots could take, and kept until all
samples of each have begun: so the n samples of a prompt share one prefill, and a slot that becomes free is
filled in the same step, without waiting for others to become free.

When nothing waits any more, free slots are given up as they become many. Models whose rows cannot change one
at a time (hf_lanes) get new rows when all slots are free.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from torch import Tensor

from harness.backends.hf.decoding.sampling import Ended, Job, Move
from harness.backends.hf.kv_cache import Lanes, Slots
from harness.backends.hf.model_runner import Network
from harness.backends.hf.multi_lora import BASE, adapter_of
from harness.backends.hf.prefix_cache import Prefix

PREFILL = 8192  # most tokens, padding included, of prompts that are computed together
SPARE = 8  # free slots are given up when they are this part of all


class Method(Protocol):
    """How a search goes on (Draws, Beams); `width` is the most rows of one."""

    @property
    def width(self) -> int: ...

    def begin(self, job: Job) -> Any: ...

    def advance(self, states: Sequence[Any], logits: Tensor) -> list[Move]: ...


@dataclass
class Search:
    """A job in progress: its slots, and those of them that its rows are in, in the rows' order."""

    number: int
    state: Any
    slots: list[int]
    rows: list[int]
    steps: int = 0


class Decoding:
    """One pass over `jobs`, so many of them at once."""

    def __init__(
        self, network: Network, method: Method, prefix: Prefix, jobs: Sequence[Job], at_once: int
    ) -> None:
        self.network = network
        self.method = method
        self.prefix = prefix
        self.jobs = jobs
        self.at_once = at_once
        self.size = at_once * method.width
        self.waiting = deque(range(len(jobs)))
        self.live: list[Search] = []
        self.opened: Lanes | None = None  # prompts computed ahead, by their rows in it
        self.rows: dict[tuple[int, ...], int] = {}
        self.lanes: Lanes | Slots | None = None
        self.free: list[int] = []
        self.tokens: list[int] = []
        self.worn: list[int] = []  # the adapter of each slot's row, where there are several

    def run(self) -> Iterator[tuple[int, list[Ended]]]:
        """Yield (number of the job, its samples) as each is complete."""
        while self.waiting or self.live:
            while fresh := self._admit():
                yield from self._advance(fresh)
            if not self.live:
                continue
            self._close_up()
            assert self.lanes is not None
            self.network.wear(self.worn)
            self.network.step(self.lanes, self.tokens)
            yield from self._advance(self.live)

    # ------------------------------------------------------------ beginning

    def _admit(self) -> list[Search]:
        """Begin as many of the waiting jobs as there is room for."""
        if not self.waiting or not self._open():
            return []
        fresh, placed = [], []
        while self.waiting and len(self.free) >= self.method.width:
            row = self.rows.get(self.jobs[self.waiting[0]].prompt)
            if row is None:
                break
            number = self.waiting.popleft()
            slots = [self.free.pop() for _ in range(self.method.width)]
            for slot in slots:
                self.worn[slot] = adapter_of(self.jobs[number].prompt)
            placed += [(row, slot) for slot in slots]
            fresh.append(Search(number, self.method.begin(self.jobs[number]), slots, slots[:1]))
        if fresh:
            self._place([row for row, _ in placed], [slot for _, slot in placed])
            self.live += fresh
        return fresh

    def _open(self) -> bool:
        """Have the prompt of the first waiting job computed; False where there is no room for the job yet."""
        if self.lanes is None or (isinstance(self.lanes, Lanes) and not self.live):
            self.lanes = None
            self.free = list(range(self.size))[::-1]
            self.tokens, self.worn = [0] * self.size, [BASE] * self.size
        if len(self.free) < self.method.width or isinstance(self.lanes, Lanes):
            return False
        if self.jobs[self.waiting[0]].prompt not in self.rows:
            self.opened = None  # before the next ones need the memory
            prompts = self._next_prompts()
            self.opened = self.prefix.prefill(prompts)
            self.rows = {prompt: row for row, prompt in enumerate(prompts)}
        return True

    def _next_prompts(self) -> list[tuple[int, ...]]:
        """Distinct prompts at the head of the line: for one filling of the slots, all with the prefix or none."""
        found: dict[tuple[int, ...], None] = {}
        longest, begins = 0, None
        for number in islice(self.waiting, self.at_once):
            prompt = self.jobs[number].prompt
            longest = max(longest, len(prompt))
            if begins is None:
                begins = self.prefix.begins(prompt)
            if found and (self.prefix.begins(prompt) != begins or longest * (len(found) + 1) > PREFILL):
                break
            found[prompt] = None
        return list(found)

    def _place(self, rows: list[int], slots: list[int]) -> None:
        opened = self.opened
        assert opened is not None
        if self.lanes is None and opened.whole:
            self.lanes = Slots(opened, self.size)
        if isinstance(self.lanes, Slots):
            self.lanes.place(opened, rows, slots)
            return
        # The prefilled rows become the lanes themselves: what of them has not begun is computed again.
        opened.pick(rows)  # slots are taken from 0 upwards
        self.lanes, self.opened, self.rows, self.free = opened, None, {}, []
        self.tokens, self.worn = [0] * len(rows), self.worn[: len(rows)]

    # ------------------------------------------------------------ going on

    def _advance(self, searches: Sequence[Search]) -> Iterator[tuple[int, list[Ended]]]:
        """Have the method choose for these searches; yield those that are complete."""
        lanes = self.lanes
        assert lanes is not None
        rows = [slot for search in searches for slot in search.rows]
        logits = lanes.logits
        if rows != list(range(len(logits))):
            logits = logits[torch.tensor(rows, device=logits.device)]
        moves = self.method.advance([search.state for search in searches], logits)
        copies, newest, complete = list[tuple[int, int]](), 0, list[tuple[int, list[Ended]]]()
        for search, move in zip(searches, moves, strict=True):
            if move.tokens:
                made = self._follow(search, move)
                copies += made
                newest = max(newest, search.steps if made else 0)
                search.steps += 1
            else:
                lanes.release(search.slots)
                self.free += search.slots
                complete.append((search.number, move.ended))
        if newest:  # before the first step all slots of a search hold its prompt, and nothing else
            lanes.copy([source for source, _ in copies], [target for _, target in copies], newest)
        if complete:
            over = {number for number, _ in complete}
            self.live = [search for search in self.live if search.number not in over]
        yield from complete

    def _follow(self, search: Search, move: Move) -> list[tuple[int, int]]:
        """Put the move's rows into the search's slots; which slots have to be copied to which others."""
        sources = [search.rows[parent] for parent in move.parents]
        spare = [slot for slot in search.slots if slot not in sources]
        kept, copies, search.rows = set[int](), list[tuple[int, int]](), []
        for source, token in zip(sources, move.tokens, strict=True):
            slot = source
            if source in kept:
                slot = spare.pop()
                copies.append((source, slot))
            kept.add(source)
            search.rows.append(slot)
            self.tokens[slot] = token
        return copies

    def _close_up(self) -> None:
        """Give up free slots that nothing will come for, when there are enough of them to be worth a copy."""
        lanes, total = self.lanes, len(self.tokens)
        used = sorted(slot for search in self.live for slot in search.slots)
        if (self.waiting and isinstance(lanes, Slots)) or (total - len(used)) * SPARE < total:
            return
        assert lanes is not None
        lanes.pick(used)
        place = {slot: at for at, slot in enumerate(used)}
        for search in self.live:
            search.slots = [place[slot] for slot in search.slots]
            search.rows = [place[slot] for slot in search.rows]
        self.tokens = [self.tokens[slot] for slot in used]
        self.worn = [self.worn[slot] for slot in used]
        self.free = []
