"""A run's judging sent to judge services on other machines (`--judge-url`): a Launcher of connections to them.

The loop is that of every other pool of workers (runs/workers/): chunks of a second, results in order, what a service
that dies had begun is judged elsewhere, at most three times. So the run's machine needs neither compilers nor
isolation, and its files have the bytes that judging here would give.

    wire.py        what is sent and what comes back, for both ends
    connection.py  one connection: a thread that posts a chunk and reads results as they come

Who judged is what run.json and the signature name: isolation, versions and packages are the services', which have to be
equal among each other. Their judge has to be this version's, to the letter, for else a verdict may be another.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Condition
from urllib.parse import urlsplit

from harness.config.run import JudgeConfig
from harness.errors import ConfigError
from harness.runs import judge as judging
from harness.runs.services import wire
from harness.runs.services.connection import Connection, ServiceClient, ask_workers
from harness.runs.workers.pool import WorkerHandle, WorkerPool
from harness.runs.workers.sandbox import PooledSandbox
from harness.runs.workers.tasks import JudgeSpec
from harness.schema import Sandbox, Task

TOKEN = "HARNESS_JUDGE_TOKEN"  # the environment variable with the services' token


def opener(urls: Sequence[str], token: str) -> Callable[[JudgeConfig, Task], AbstractContextManager[Sandbox]]:
    """What opens a run's sandbox at these services; an Executor's `open_sandbox`. Raises ConfigError for a bad URL."""
    bases = [_base(url) for url in urls]

    def open_sandbox(judge: JudgeConfig, task: Task) -> AbstractContextManager[Sandbox]:
        if not any(scorer.executes for scorer in task.scorers):
            return judging.open_sandbox(judge, task)  # nothing will be run
        if judge.python:
            raise ConfigError(
                "judge.python is a path on this machine, and the programs run at --judge-url: leave it out, and start"
                " the service with --set judge.python=PATH"
            )
        used = judging.settings(judge, task)
        asked = wire.encode_settings(used)
        clients = [ServiceClient(base, token, asked, judge.stall_s) for base in bases]
        launcher = ServiceLauncher(clients, judge.workers)
        # Each connection knows by itself how long its service says nothing.
        return PooledSandbox(WorkerPool(launcher, JudgeSpec(used), stall_s=math.inf))

    return open_sandbox


def _base(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError(f"--judge-url {url!r}: expected http(s)://HOST:PORT, as harness serve prints it")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(f"--judge-url: a token comes from {TOKEN}, not from the URL")
    return url.rstrip("/")


@dataclass
class ServiceLauncher:
    """A Launcher of connections: as many to each service as it has workers, and one that waits there; or `wanted` in
    all. Asked once how many those are, so a service that is not there is told before any work.
    """

    clients: Sequence[ServiceClient]
    wanted: int | None = None

    def __post_init__(self) -> None:
        self.arrived = Condition()  # notified when any connection has something to receive
        counts = list(zip(self.clients, ask_workers(self.clients), strict=True))
        most = max(count for _, count in counts)
        # In turns, so that fewer connections than there are places still reach every service.
        places = [client for place in range(most + 1) for client, count in counts if place <= count]
        self.places = places[: self.wanted]

    @property
    def capacity(self) -> int:
        return len(self.places)

    def start(self, slot: int) -> Connection:
        return Connection(f"connection {slot} to {self.places[slot].base}", self.places[slot], self.arrived)

    def wait(self, workers: Sequence[WorkerHandle], seconds: float) -> Sequence[WorkerHandle]:
        def ready() -> list[WorkerHandle]:
            return [each for each in workers if isinstance(each, Connection) and each.has_arrived]

        with self.arrived:
            self.arrived.wait_for(ready, seconds)
            return ready()

    def stop(self, workers: Sequence[WorkerHandle]) -> None:
        for each in workers:
            assert isinstance(each, Connection)
            each.close()
