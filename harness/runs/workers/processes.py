"""Workers that are processes of this machine: fresh interpreters, one a device, that end when their asker does.

Fresh interpreters, not forks: neither an accelerator's state nor threads survive a fork.
"""

import os
import pickle
import queue
import selectors
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.runs.workers.backend import Fanned
from harness.runs.workers.pool import Crew, Lost, Worker
from harness.runs.workers.protocol import Desk, Part
from harness.runs.workers.tasks import Generating

LENGTH = struct.Struct("!Q")
READ = 1 << 20
END_S = 5.0  # for a process to close what it holds


def backend(config: BackendConfig) -> Fanned:
    """One worker on each of the config's devices. Raises ConfigError where 'all' are none."""
    names = devices(config)
    post = Generating(config, names)
    return Fanned(Crew(Processes(names), post), post)


def devices(config: BackendConfig) -> tuple[str, ...]:
    if config.devices != "all":
        return tuple(config.devices)
    import torch

    if not (count := torch.cuda.device_count()):
        raise ConfigError("backend.devices = 'all': torch sees no CUDA device here; leave the key out")
    return tuple(f"cuda:{number}" for number in range(count))


class Processes:
    """A Place: one process for each name."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [f"worker {number} ({name})" for number, name in enumerate(names)]

    @property
    def slots(self) -> int:
        return len(self.names)

    def hire(self, slot: int) -> "Process":
        return Process(self.names[slot])

    def wait(self, workers: Sequence[Worker], seconds: float) -> Sequence[Worker]:
        with selectors.DefaultSelector() as selector:
            for worker in workers:
                assert isinstance(worker, Process)
                selector.register(worker.results, selectors.EVENT_READ, worker)
            return [key.data for key, _ in selector.select(seconds)]

    def dismiss(self, workers: Sequence[Worker]) -> None:
        gone = [worker for worker in workers if isinstance(worker, Process)]
        for each in gone:
            each.send_away()
        for each in gone:
            each.wait()


class Process:
    """A Worker behind two pipes."""

    def __init__(self, name: str) -> None:
        self.name = name
        code = f"import sys; sys.path[:] = {sys.path!r}; from harness.runs.workers import processes; processes.serve()"
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.orders: IO[bytes] = self.process.stdin
        self.results: IO[bytes] = self.process.stdout
        self._buffer = bytearray()

    def give(self, payload: bytes) -> None:
        with suppress(OSError):  # its end is read next, and told there
            self.orders.write(LENGTH.pack(len(payload)) + payload)
            self.orders.flush()

    def take(self) -> list[tuple[Part, int]]:
        """Called when there is something to read. Raises Lost at the process's end."""
        found = os.read(self.results.fileno(), READ)
        if not found:
            raise Lost(_ending(self.process.wait()))
        self._buffer += found
        parts = []
        while (payload := self._frame()) is not None:
            parts.append((pickle.loads(payload), len(payload)))
        return parts

    def _frame(self) -> bytes | None:
        if len(self._buffer) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[LENGTH.size : end])
        del self._buffer[:end]
        return payload

    def send_away(self) -> None:
        with suppress(OSError):
            self.orders.close()  # it reads the end, closes what it holds and ends
        self.results.close()

    def wait(self) -> None:
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _ending(status: int) -> str:
    if status == -signal.SIGKILL:
        return "it was killed (signal 9), as the kernel does when memory runs out"
    if status < 0:
        return f"it was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"it ended with status {status}; what it said is above"


# ---------------------------------------------------------------- the process's own side


class _Gone(BaseException):
    """Whoever asked is gone, or wants nothing more."""


def serve() -> None:
    """Do orders until whoever gives them is gone; then end, also in the middle of one. Ctrl-C is the asker's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not come between
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(orders,), daemon=True).start()
    desk = Desk()
    try:
        while True:
            for part in desk.parts(orders.get()):
                results.write(LENGTH.pack(len(part)) + part)
                results.flush()
    except (_Gone, BrokenPipeError):
        pass
    finally:
        desk.close()


def _end(number: int, frame: object) -> None:
    del number, frame
    raise _Gone


def _read(orders: "queue.SimpleQueue[bytes]") -> None:
    """Take orders in as they come, so that whoever gives them never waits for the work before."""
    with open(0, "rb", closefd=False) as stream:
        while len(head := stream.read(LENGTH.size)) == LENGTH.size:
            orders.put(stream.read(LENGTH.unpack(head)[0]))
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
