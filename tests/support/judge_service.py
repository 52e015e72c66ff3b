"""A judge service for tests: in a thread of this process, or a `harness serve` of its own that can be killed."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from harness import listening
from harness.serve import server
from harness.serve.admission import Admission, ServiceLimits
from harness.serve.service import Service, open_service
from tests.support.paths import ROOT

TOKEN = "a token of the tests"


@dataclass(frozen=True)
class Served:
    """A service and a client that has its token."""

    url: str
    service: Service
    client: httpx2.Client

    def post(self, path: str, **fields: Any) -> httpx2.Response:
        return self.client.post(path, json=fields)


@contextmanager
def in_a_thread(
    *tasks: str, limits: ServiceLimits | None = None, token: str = TOKEN, **config: Any
) -> Iterator[Served]:
    """`config`: keys of the config that the tasks share."""
    plain = {"data": "mini", "cache": "", "judge": {"workers": 1}, **config}
    service = open_service(tasks, plain, Admission(limits or ServiceLimits(), token))
    running = server.server(service)
    with listening.listen("127.0.0.1", 0) as socket:
        thread = threading.Thread(target=running.run, args=([socket],))
        thread.start()
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = listening.url(socket)
        try:
            with httpx2.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
                yield Served(url, service, client)
        finally:
            running.should_exit = True
            thread.join()
            service.close()


@dataclass(frozen=True)
class ServeCommand:
    """A `harness serve` in a process of its own."""

    url: str
    process: "subprocess.Popen[str]"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def command(*arguments: str) -> Iterator[ServeCommand]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HARNESS_JUDGE_TOKEN": TOKEN}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "serve", "--port", "0", "--workers", "1", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("judging at http"), line
        yield ServeCommand(line.split()[-1], process)
    finally:
        process.send_signal(signal.SIGCONT)  # a test may have stopped it
        process.terminate()
        process.wait()
        process.stdout.close()
