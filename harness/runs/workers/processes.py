"""Workers that are processes of this machine: fresh interpreters, one for each device, that end with their parent.

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

from harness.backends import heartbeat
from harness.config.backend import BackendConfig
from harness.errors import ConfigError
from harness.runs.workers.backend import PooledBackend
from harness.runs.workers.pool import WorkerDied, WorkerHandle, WorkerPool
from harness.runs.workers.protocol import PartialResult, WorkerServer, pack
from harness.runs.workers.tasks import GenerateSpec

LENGTH = struct.Struct("!Q")
READ_BYTES = 1 << 20
STOP_TIMEOUT_S = 5.0  # for a process to release what it holds


def open_backend(config: BackendConfig) -> PooledBackend:
    """One worker on each of the config's devices. Raises ConfigError where there is no device."""
    names = devices(config)
    spec = GenerateSpec(config, names)
    return PooledBackend(WorkerPool(ProcessLauncher(names), spec, stall_s=config.stall_s), spec)


def devices(config: BackendConfig) -> tuple[str, ...]:
    if config.devices != "all":
        return tuple(config.devices)
    import torch

    if not (count := torch.cuda.device_count()):
        raise ConfigError("backend.devices = 'all': torch sees no CUDA device here; leave the key out")
    return tuple(f"cuda:{number}" for number in range(count))


class ProcessLauncher:
    """A Launcher of one process for each name."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = [f"worker {number} ({name})" for number, name in enumerate(names)]

    @property
    def capacity(self) -> int:
        return len(self.names)

    def start(self, slot: int) -> "WorkerProcess":
        return WorkerProcess(self.names[slot])

    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> Sequence[WorkerHandle]:
        with selectors.DefaultSelector() as selector:
            for worker in workers:
                assert isinstance(worker, WorkerProcess)
                selector.register(worker.results, selectors.EVENT_READ, worker)
            return [key.data for key, _ in selector.select(seconds)]

    def stop(self, workers: Sequence[WorkerHandle]) -> None:
        processes = [worker for worker in workers if isinstance(worker, WorkerProcess)]
        for process in processes:
            process.close_pipes()
        for process in processes:
            process.wait()


class WorkerProcess:
    """A WorkerHandle behind two pipes."""

    def __init__(self, name: str) -> None:
        self.name = name
        code = f"import sys; sys.path[:] = {sys.path!r}; from harness.runs.workers import processes; processes.serve()"
        command = [sys.executable, "-c", code]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: IO[bytes] = self.process.stdin
        self.results: IO[bytes] = self.process.stdout
        self._buffer = bytearray()

    def send(self, payload: bytes) -> None:
        with suppress(OSError):  # `receive` finds out that it has ended
            self.requests.write(LENGTH.pack(len(payload)) + payload)
            self.requests.flush()

    def receive(self) -> list[tuple[PartialResult, int]]:
        """Called when there is something to read. Raises WorkerDied at the process's end."""
        data = os.read(self.results.fileno(), READ_BYTES)
        if not data:
            raise WorkerDied(_exit_cause(self.process.wait()))
        self._buffer += data
        received = []
        while (payload := self._next_frame()) is not None:
            received.append((pickle.loads(payload), len(payload)))
        return received

    def _next_frame(self) -> bytes | None:
        if len(self._buffer) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[LENGTH.size : end])
        del self._buffer[:end]
        return payload

    def close_pipes(self) -> None:
        with suppress(OSError):
            self.requests.close()  # it reads the end, closes what it holds and exits
        self.results.close()

    def wait(self) -> None:
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _exit_cause(status: int) -> str:
    if status == -signal.SIGKILL:
        return "it was killed (signal 9), as the kernel does when memory runs out"
    if status < 0:
        return f"it was ended by signal {-status} ({signal.Signals(-status).name})"
    return f"it exited with status {status}; its output is above"


# ---------------------------------------------------------------- inside the process


class _Terminated(BaseException):
    """The parent is gone, or wants nothing more."""


def serve() -> None:
    """Carry out requests until the parent is gone; then exit, even in the middle of one. Ctrl-C is for the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the results
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    server = WorkerServer()

    def write(payload: bytes) -> None:
        results.write(LENGTH.pack(len(payload)) + payload)
        results.flush()

    alive = pack(PartialResult(()))
    heartbeat.listener = lambda: write(alive)
    try:
        while True:
            for payload in server.handle(requests.get()):
                write(payload)
    except (_Terminated, BrokenPipeError):
        pass
    finally:
        server.close()


def _terminate(number: int, frame: object) -> None:
    del number, frame
    raise _Terminated


def _read_requests(requests: "queue.SimpleQueue[bytes]") -> None:
    """Read requests as they come, so that the parent never blocks while an earlier one is carried out."""
    with open(0, "rb", closefd=False) as stream:
        while len(head := stream.read(LENGTH.size)) == LENGTH.size:
            requests.put(stream.read(LENGTH.unpack(head)[0]))
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
