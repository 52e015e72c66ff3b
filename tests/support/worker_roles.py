"""Task specs for tests of worker pools: workers that double, sleep, kill themselves, fail or differ. Not a test itself.

A spec is pickled to its workers, so what it is told to do comes with it; `folder` is where workers leave files that
outlive them.
"""

import os
import pickle
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import sandbox
from harness.backends import heartbeat
from harness.config.backend import STALL_S, BackendConfig
from harness.errors import BackendFault, ConfigError
from harness.runs.workers import processes
from harness.runs.workers.pool import WorkerPool
from harness.runs.workers.protocol import PartialResult, WorkerServer
from harness.runs.workers.tasks import JudgeSpec, JudgeTask
from harness.schema import Capabilities, Completion, Generation, Request

KILLED = "it was killed (signal 9), as the kernel does when memory runs out"
CONFIG = BackendConfig(model="none", batch_size=2)


@dataclass(frozen=True)
class DoubleSpec:
    """Doubles numbers. Kills itself at an item of `deadly`, `times` times in all (a mark each)."""

    folder: Path
    deadly: tuple[int, ...] = ()
    times: int = 1
    faulty: tuple[int, ...] = ()
    seconds: float = 0.0
    beats: bool = False  # signs of life, before each item and while it sleeps
    hangs: int = -1  # the item at which the first worker stops itself
    on_setup: str = ""  # "refuse", "die" or "die at 0" (in slot 0 only)
    weights: str = "a"
    odd: int = -1  # the slot whose worker differs from the others
    config: BackendConfig = CONFIG

    def setup(self, slot: int, previous: Any) -> "DoubleTask":
        if self.on_setup == "refuse":
            raise ConfigError("no such model")
        if self.on_setup == "die" or (self.on_setup == "die at 0" and slot == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"pid-{os.getpid()}").touch()
        return DoubleTask(self, slot)


@dataclass(frozen=True)
class DoubleTask:
    spec: DoubleSpec
    slot: int

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"weights": "b" if self.slot == self.spec.odd else self.spec.weights}

    def run(self, method: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        for number, item in items:
            if self.spec.beats:
                heartbeat.beat()
            if method == "generate":
                yield number, list(self._generations(item))
                continue
            if method == "capabilities":
                yield number, Capabilities()
                continue
            if method == "gpus":
                yield number, os.environ.get("CUDA_VISIBLE_DEVICES", "")
                continue
            self._hazards(item)
            self._work()
            yield number, (2 * item if method == "double" else os.getpid())

    def _generations(self, request: Request) -> Iterator[Generation]:
        self._hazards(int(request.problem_id))
        for index in request.indices:
            text = Completion(text=f"{request.problem_id}.{index}")
            yield Generation(
                problem_id=request.problem_id, index=index, prompt_sha=request.prompt.sha, completion=text
            )

    def _work(self) -> None:
        if not self.spec.beats:
            time.sleep(self.spec.seconds)
            return
        heartbeat.INTERVAL_S = 0.05
        until = time.monotonic() + self.spec.seconds
        while time.monotonic() < until:
            time.sleep(0.05)
            heartbeat.beat()

    def _hazards(self, item: int) -> None:
        if item == self.spec.hangs and not list(self.spec.folder.glob("stopped-*")):
            (self.spec.folder / f"stopped-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        if item in self.spec.faulty:
            raise BackendFault(f"out of memory at {item}")
        marks = len(list(self.spec.folder.glob(f"died-{item}-*")))
        if item in self.spec.deadly and marks < self.spec.times:
            (self.spec.folder / f"died-{item}-{marks}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        (self.spec.folder / f"closed-{os.getpid()}").touch()


@dataclass(frozen=True)
class EchoSpec:
    """Answers each prompt with its problem's name, and dies of the problem that the file `deadly` in `folder` names."""

    folder: Path
    config: BackendConfig = CONFIG

    def setup(self, slot: int, previous: Any) -> "EchoTask":
        return EchoTask(self.folder / "deadly")


@dataclass(frozen=True)
class EchoTask:
    deadly: Path
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "replay"})

    def run(self, method: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        for number, item in items:
            if method == "generate":
                yield number, list(self._generations(item))
            elif method == "capabilities":
                yield number, Capabilities()
            else:
                yield number, (True if method == "fits" else 1)

    def _generations(self, request: Request) -> Iterator[Generation]:
        if self.deadly.exists() and self.deadly.read_text() == request.problem_id:
            os.kill(os.getpid(), signal.SIGKILL)
        for index in request.indices:
            text = Completion(text=f"{request.problem_id}.{index}")
            yield Generation(
                problem_id=request.problem_id, index=index, prompt_sha=request.prompt.sha, completion=text
            )

    def close(self) -> None:
        pass


class InlineLauncher:
    """A launcher without processes: requests are carried out on receive. To wait where nothing can come is an error."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity

    def start(self, slot: int) -> "InlineWorker":
        return InlineWorker(slot)

    def wait(self, workers: Sequence[Any], seconds: float) -> Sequence[Any]:
        ready = [worker for worker in workers if worker.requests]
        assert ready, "no worker has anything to do"
        return ready

    def stop(self, workers: Sequence[Any]) -> None:
        pass


class InlineWorker:
    def __init__(self, slot: int) -> None:
        self.name = f"worker {slot}"
        self.server = WorkerServer()
        self.requests: list[bytes] = []

    def send(self, payload: bytes) -> None:
        self.requests.append(payload)

    def receive(self) -> list[tuple[PartialResult, int]]:
        return [(pickle.loads(payload), len(payload)) for payload in self.server.handle(self.requests.pop(0))]


@dataclass(frozen=True)
class CrashingJudgeSpec(JudgeSpec):
    """A judge that dies of programs that contain `deadly`."""

    def setup(self, slot: int, previous: Any) -> Any:
        return CrashingJudgeTask(sandbox.start(self.settings))


@dataclass(frozen=True)
class CrashingJudgeTask(JudgeTask):
    def run(self, method: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        for number, program in items:
            if "deadly" in program.code:
                os.kill(os.getpid(), signal.SIGKILL)
            yield number, self.pool.run(program)


def doubling(folder: Path, workers: int = 2, stall_s: float = STALL_S, **options: Any) -> WorkerPool:
    launcher = processes.ProcessLauncher(["x"] * workers)
    return WorkerPool(launcher, DoubleSpec(folder, **options), stall_s=stall_s)
