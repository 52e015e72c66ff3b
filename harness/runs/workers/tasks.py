"""What a worker does: generate with a model of its own, or judge in a sandbox of its own.

Both are made from what a run's config says, by the same functions that a run on one machine uses.
"""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from harness import backends, environment, sandbox
from harness.config.backend import BackendConfig
from harness.runs.workers.protocol import Hand
from harness.schema import Backend, Given, Prompt, Request, Sampling

# How many a sandbox is given ahead, so that it never waits for the next one; queries take less than a millisecond.
AHEAD = {"programs": 4, "queries": 32}
# After which what a chunk still holds goes back to be shared out: a few may take all their time.
JUDGE_S = 2.0

Items = Sequence[tuple[int, Any]]


@dataclass(frozen=True)
class Generating:
    """A model on `devices[slot]`. `folder`: what relative paths start from."""

    config: BackendConfig
    devices: tuple[str, ...]
    folder: str = ""

    def take_up(self, slot: int, before: Hand | None) -> "Generator":
        _go_to(self.folder)
        device = self.devices[slot % len(self.devices)]
        config = self.config.model_copy(update={"device": device, "devices": ()})
        if isinstance(before, Generator) and before.base == _base(config):
            return Generator(config, backends.with_adapter(before.backend, config))
        if before is not None:
            before.close()
        _use_all_threads()
        return Generator(config, backends.load(config, ()))


@dataclass(frozen=True)
class Generator:
    """A loaded backend as a Hand."""

    config: BackendConfig
    backend: Backend

    @property
    def base(self) -> BackendConfig:
        return _base(self.config)

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.backend.identity

    def do(self, what: str, common: Any, items: Items) -> Iterator[tuple[int, Any]]:
        match what:
            case "generate":
                yield from self._generate(items, common)
            case "likelihoods":
                yield from self._likelihoods(items)
            case "tokens":
                for number, prompt in items:
                    yield number, self.backend.tokens(prompt)
            case "fits":
                for number, prompt in items:
                    yield number, self.backend.fits(prompt, common)

    def _generate(self, items: Items, sampling: Sampling) -> Iterator[tuple[int, Any]]:
        """A request's samples go back together, when the last of them is there."""
        whose = {(one.problem_id, index): number for number, one in items for index in one.indices}
        missing = {number: len(one.indices) for number, one in items}
        made: dict[int, list[Any]] = {number: [] for number in missing}
        for generation in self.backend.generate(_joined([one for _, one in items]), sampling):
            number = whose[generation.problem_id, generation.index]
            made[number].append(generation)
            if len(made[number]) == missing[number]:
                yield number, made.pop(number)

    def _likelihoods(self, items: Items) -> Iterator[tuple[int, Any]]:
        given: list[Given] = [one for _, one in items]
        whose = {one.problem_id: number for number, one in items}
        for generation in backends.reader(self.backend).likelihoods(given):
            yield whose[generation.problem_id], generation

    def close(self) -> None:
        self.backend.close()


def _base(config: BackendConfig) -> BackendConfig:
    return config.model_copy(update={"adapter": ""})


def _joined(requests: Sequence[Request]) -> list[Request]:
    """One request a problem, so that all of its samples share a prefill."""
    joined: dict[tuple[str, Prompt], Request] = {}
    for one in requests:
        key = one.problem_id, one.prompt
        before = joined[key].indices if key in joined else ()
        joined[key] = Request(one.problem_id, one.prompt, (*before, *one.indices))
    return list(joined.values())


def _use_all_threads() -> None:
    """As many as a process of its own would have: the number is in the arithmetic of a CPU's sums."""
    with suppress(ImportError):  # the backend says so itself, and what to install
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class Judging:
    """A sandbox with one worker. `where`: names the machine to whoever admits workers."""

    settings: sandbox.Settings
    folder: str = ""

    def take_up(self, slot: int, before: Hand | None) -> "Judge":
        del slot
        if before is not None:
            before.close()
        _go_to(self.folder)
        return Judge(sandbox.start(self.settings))


@dataclass(frozen=True)
class Judge:
    """A sandbox as a Hand."""

    pool: sandbox.Pool

    @property
    def identity(self) -> Mapping[str, Any]:
        """What verdicts depend on beside the programs: isolation, interpreter, and versions of what they import."""
        versions = environment.versions()
        return {
            "sandbox": self.pool.isolation,
            "interpreter": self.pool.interpreter,
            "Python": platform.python_version(),
            "harness": versions["harness"],
            "numpy": versions["numpy"],
        }

    def do(self, what: str, common: Any, items: Items) -> Iterator[tuple[int, Any]]:
        del common
        judge: Any = self.pool.map if what == "programs" else self.pool.judge_queries
        results = judge(_in_time(items), AHEAD[what])
        for result, (number, _) in zip(results, items, strict=False):
            yield number, result

    def close(self) -> None:
        self.pool.close()


def _in_time(items: Items) -> Iterator[Any]:
    """Items until the time is over, but one at least."""
    until = monotonic() + JUDGE_S
    for drawn, (_, item) in enumerate(items):
        if drawn and monotonic() > until:
            return
        yield item


def _go_to(folder: str) -> None:
    """Where the run was started, so that relative paths mean the same; a machine without it has its own."""
    if folder:
        with suppress(OSError):
            os.chdir(folder)
