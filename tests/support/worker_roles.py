"""Posts for tests of crews: workers that count, sleep, kill themselves, fail or differ. Not a test itself.

A post is pickled to its workers, so what it is told to do comes with it; `folder` is where workers leave marks
that outlive them.
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
from harness.config.backend import BackendConfig
from harness.errors import BackendFault, ConfigError
from harness.runs.workers.protocol import Desk, Part
from harness.runs.workers.tasks import Judge, Judging
from harness.schema import Completion, Generation, Request

CONFIG = BackendConfig(model="none", batch_size=2)


@dataclass(frozen=True)
class Doubling:
    """Doubles numbers. Kills itself at an item of `deadly`, `times` times in all (a mark each)."""

    folder: Path
    deadly: tuple[int, ...] = ()
    times: int = 1
    faulty: tuple[int, ...] = ()
    seconds: float = 0.0
    opening: str = ""  # "refuse", "die" or "die at 0": what taking up the post comes to
    weights: str = "a"
    odd: int = -1  # the slot whose worker differs from the others
    config: BackendConfig = CONFIG

    def take_up(self, slot: int, before: Any) -> "Doubler":
        if self.opening == "refuse":
            raise ConfigError("no such post")
        if self.opening == "die" or (self.opening == "die at 0" and slot == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"pid-{os.getpid()}").touch()
        return Doubler(self, slot)


@dataclass(frozen=True)
class Doubler:
    post: Doubling
    slot: int

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"weights": "b" if self.slot == self.post.odd else self.post.weights}

    def do(self, what: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        for number, item in items:
            if what == "generate":
                yield number, list(self._generations(item))
                continue
            if what == "gpus":
                yield number, os.environ.get("CUDA_VISIBLE_DEVICES", "")
                continue
            self._hazards(item)
            time.sleep(self.post.seconds)
            yield number, (2 * item if what == "double" else os.getpid())

    def _generations(self, request: Request) -> Iterator[Generation]:
        self._hazards(int(request.problem_id))
        for index in request.indices:
            text = Completion(text=f"{request.problem_id}.{index}")
            yield Generation(
                problem_id=request.problem_id, index=index, prompt_sha=request.prompt.sha, completion=text
            )

    def _hazards(self, item: int) -> None:
        if item in self.post.faulty:
            raise BackendFault(f"out of memory at {item}")
        marks = len(list(self.post.folder.glob(f"died-{item}-*")))
        if item in self.post.deadly and marks < self.post.times:
            (self.post.folder / f"died-{item}-{marks}").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        (self.post.folder / f"closed-{os.getpid()}").touch()


@dataclass(frozen=True)
class Speaking:
    """Answers each prompt with its problem's name, and dies of the problem that the file `deadly` in `folder` names."""

    folder: Path
    config: BackendConfig = CONFIG

    def take_up(self, slot: int, before: Any) -> "Speaker":
        return Speaker(self.folder / "deadly")


@dataclass(frozen=True)
class Speaker:
    deadly: Path
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "replay"})

    def do(self, what: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        for number, item in items:
            if what == "generate":
                yield number, list(self._generations(item))
            else:
                yield number, (True if what == "fits" else 1)

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


class Here:
    """A place without processes: orders are done when somebody listens. To listen where nothing is to come is wrong."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def hire(self, slot: int) -> "Hired":
        return Hired(slot)

    def wait(self, workers: Sequence[Any], seconds: float) -> Sequence[Any]:
        ready = [worker for worker in workers if worker.orders]
        assert ready, "nobody has anything to do"
        return ready

    def dismiss(self, workers: Sequence[Any]) -> None:
        pass


class Hired:
    def __init__(self, slot: int) -> None:
        self.name = f"worker {slot}"
        self.desk = Desk()
        self.orders: list[bytes] = []

    def give(self, payload: bytes) -> None:
        self.orders.append(payload)

    def take(self) -> list[tuple[Part, int]]:
        return [(pickle.loads(part), len(part)) for part in self.desk.parts(self.orders.pop(0))]


@dataclass(frozen=True)
class DeadlyJudging(Judging):
    """A judge that dies of programs that say `deadly`."""

    def take_up(self, slot: int, before: Any) -> Any:
        return DeadlyJudge(sandbox.start(self.settings))


@dataclass(frozen=True)
class DeadlyJudge(Judge):
    def do(self, what: str, common: Any, items: Sequence[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
        for number, program in items:
            if "deadly" in program.code:
                os.kill(os.getpid(), signal.SIGKILL)
            yield number, self.pool.run(program)
