"""What a worker runs: a model of its own that generates, or a sandbox of its own that judges.

Both are made from a run's config, by the same functions that a run in one process uses.
"""

import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, cast

from harness import backends, environment, sandbox
from harness.config.backend import BackendConfig
from harness.runs.workers.protocol import WorkerTask
from harness.sandbox.languages import table
from harness.schema import (
    AdapterBackend,
    Backend,
    LikelihoodRequest,
    Prompt,
    RenderingBackend,
    Request,
    Sampling,
)

# Items a sandbox is given ahead, so that it never waits for the next one; queries take less than a millisecond.
PREFETCH = {"programs": 4, "queries": 32}
# After which the rest of a chunk goes back to be redistributed: a few programs may use all of their time limit.
JUDGE_CHUNK_S = 2.0

Items = Sequence[tuple[int, Any]]


@dataclass(frozen=True)
class GenerateSpec:
    """A model on `devices[slot]`. `folder`: what relative paths start from."""

    config: BackendConfig
    devices: tuple[str, ...]
    folder: str = ""

    def setup(self, slot: int, previous: WorkerTask | None) -> "GenerateTask":
        _change_folder(self.folder)
        device = self.devices[slot % len(self.devices)]
        config = self.config.model_copy(update={"device": device, "devices": ()})
        loaded = previous.swappable(config) if isinstance(previous, GenerateTask) else None
        if loaded is not None:
            loaded.set_adapter(config.adapter)
            return GenerateTask(config, loaded)
        if previous is not None:
            previous.close()
        _use_all_threads()
        return GenerateTask(config, backends.load(config, ()))


@dataclass(frozen=True)
class GenerateTask:
    """A loaded backend as a WorkerTask."""

    config: BackendConfig
    backend: Backend

    def swappable(self, config: BackendConfig) -> AdapterBackend | None:
        """The backend, if `config` wants the same base and the adapter can be changed."""
        return backends.adapter_backend(self.backend) if _base(self.config) == _base(config) else None

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.backend.identity

    def run(self, method: str, common: Any, items: Items) -> Iterator[tuple[int, Any]]:
        match method:
            case "generate":
                yield from self._generate(items, common)
            case "likelihoods":
                yield from self._likelihoods(items)
            case "capabilities":
                for number, _ in items:
                    yield number, self.backend.capabilities
            case "tokens":
                for number, prompt in items:
                    yield number, self.backend.tokens(prompt)
            case "render":
                for number, prompt in items:
                    yield number, cast(RenderingBackend, self.backend).render([prompt])[0]
            case "fits":
                for number, prompt in items:
                    yield number, self.backend.fits(prompt, common)

    def _generate(self, items: Items, sampling: Sampling) -> Iterator[tuple[int, Any]]:
        """A request's samples are returned together, when the last of them is there."""
        numbers = {(one.problem_id, index): number for number, one in items for index in one.indices}
        wanted = {number: len(one.indices) for number, one in items}
        made: dict[int, list[Any]] = {number: [] for number in wanted}
        for generation in self.backend.generate(_merge_requests([one for _, one in items]), sampling):
            number = numbers[generation.problem_id, generation.index]
            made[number].append(generation)
            if len(made[number]) == wanted[number]:
                yield number, made.pop(number)

    def _likelihoods(self, items: Items) -> Iterator[tuple[int, Any]]:
        given: list[LikelihoodRequest] = [one for _, one in items]
        numbers = {one.problem_id: number for number, one in items}
        for generation in backends.likelihood_backend(self.backend).likelihoods(given):
            yield numbers[generation.problem_id], generation

    def close(self) -> None:
        self.backend.close()


def _base(config: BackendConfig) -> BackendConfig:
    return config.model_copy(update={"adapter": ""})


def _merge_requests(requests: Sequence[Request]) -> list[Request]:
    """One request for each problem, so that all of its samples share a prefill."""
    merged: dict[tuple[str, Prompt], Request] = {}
    for one in requests:
        key = one.problem_id, one.prompt
        indices = merged[key].indices if key in merged else ()
        merged[key] = Request(one.problem_id, one.prompt, (*indices, *one.indices))
    return list(merged.values())


def _use_all_threads() -> None:
    """As many as a run in one process would use: on a CPU the results of sums depend on the number."""
    with suppress(ImportError):  # the backend reports it, and what to install
        import torch

        torch.set_num_threads(len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class JudgeSpec:
    """A sandbox with one worker. `folder`: what relative paths start from."""

    settings: sandbox.Settings
    folder: str = ""

    def setup(self, slot: int, previous: WorkerTask | None) -> "JudgeTask":
        del slot
        if previous is not None:
            previous.close()
        _change_folder(self.folder)
        return JudgeTask(sandbox.start(self.settings))


@dataclass(frozen=True)
class JudgeTask:
    """A sandbox as a WorkerTask."""

    pool: sandbox.Pool

    @property
    def identity(self) -> Mapping[str, Any]:
        """What verdicts depend on apart from the programs: isolation, and versions of languages and packages."""
        own = environment.versions()
        return {
            "sandbox": self.pool.isolation,
            "versions": dict(self.pool.versions(("sqlite", *table.LANGUAGES))),
            "packages": dict(self.pool.packages),
            "absent": list(self.pool.absent),
            "Python": platform.python_version(),
            "harness": own["harness"],
            "numpy": own["numpy"],
        }

    def run(self, method: str, common: Any, items: Items) -> Iterator[tuple[int, Any]]:
        del common
        judge: Any = self.pool.map if method == "programs" else self.pool.judge_queries
        results = judge(until_deadline(item for _, item in items), PREFETCH[method])
        for result, (number, _) in zip(results, items, strict=False):
            yield number, result

    def close(self) -> None:
        self.pool.close()


def until_deadline(items: Iterable[Any]) -> Iterator[Any]:
    """Items until the chunk's time is over, but one at least."""
    deadline = monotonic() + JUDGE_CHUNK_S
    for drawn, item in enumerate(items):
        if drawn and monotonic() > deadline:
            return
        yield item


def _change_folder(folder: str) -> None:
    """To where the run was started, so that relative paths mean the same; on a machine without it, stay."""
    if folder:
        with suppress(OSError):
            os.chdir(folder)
