"""A server started for the run and stopped after it: `vllm serve`, `transformers serve`, `llama-server`, any command.

The command gets {model} and {port}, and where it has them {adapter}, a folder, and {adapter_name}; it is waited for
until it says that it is well, and talked to as any server with OpenAI's protocol is. Its output goes to a file, whose
end is shown when it does not come up. It runs in a session of its own, and all of that is ended with the run, also when
the run is interrupted or killed.
"""

import contextlib
import ctypes
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.backends import hub, openai
from harness.config.backend import BackendConfig, ServerConfig
from harness.errors import BackendFault, ConfigError
from harness.schema import Generation, Prompt, Request, Sampling

SHOWN = 2000  # characters of its log in a message
LOOK_EVERY_S = 0.25
WELL = (200, 401, 403)  # a server that asks for a key is there
GRACE_S = 10.0  # between being asked to end and being killed
PLACE = re.compile(r"\{(model|port|adapter|adapter_name)\}")
_PR_SET_PDEATHSIG = 1


@dataclass
class Started:
    """A schema.Backend: the client of a server, and the server."""

    process: "subprocess.Popen[bytes]"
    guard: "subprocess.Popen[bytes]"
    log: IO[bytes]
    client: openai.Client
    loaded: "Loaded | None" = None
    counts: Mapping[str, int] | None = None

    @property
    def identity(self) -> Mapping[str, str]:
        adapter = {"adapter": self.loaded.digest} if self.loaded else {}
        return {**self.client.identity, "kind": "server", **adapter}

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        try:
            yield from self.client.generate(requests, sampling)
        except BackendFault as error:
            if self.process.poll() is not None:
                raise BackendFault(
                    f"{error}. The server has ended ({_how(self.process)}): {_tail(self.log)}"
                ) from None
            raise

    def tokens(self, prompt: Prompt) -> int:
        return self.client.tokens(prompt)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return self.client.fits(prompt, max_tokens)

    def choose(self, config: BackendConfig) -> None:
        """Serve another adapter on the same model: by its name, or by a new start where the command loads it."""
        if not _loads(config):
            self.client.choose(config)
            return
        self.close()
        new = load(config)
        self.process, self.guard, self.log, self.client = new.process, new.guard, new.log, new.client
        self.loaded = new.loaded

    def close(self) -> None:
        if self.log.closed:
            return
        self.client.close()
        stop(self.process, self.guard)
        self.log.close()


@dataclass(frozen=True)
class Loaded:
    """An adapter that the command loads: `name` is what it is asked for by, if the command gives it one."""

    path: Path
    name: str
    digest: str


def _loads(config: BackendConfig) -> bool:
    return config.server is not None and "{adapter}" in config.server.command


def loaded(config: BackendConfig) -> Loaded | None:
    """A PEFT adapter (folder or hub id), or a file in the server's own form. Raises UserError."""
    if not config.adapter or not _loads(config):
        return None
    from harness.backends.hf.adapter import find_adapter

    file = Path(config.adapter).expanduser()
    if file.is_file():
        return Loaded(file, file.stem, hub.sha256(file))
    found = find_adapter(config.adapter)
    return Loaded(found.folder, Path(config.adapter.partition("@")[0]).name, found.digest)


def words(config: BackendConfig, port: int, adapter: Loaded | None) -> list[str]:
    """The command. What names an adapter is left out where there is none, with the option before it."""
    values = {"model": config.model, "port": str(port)}
    if adapter is not None:
        values |= {"adapter": str(adapter.path), "adapter_name": adapter.name}
    made: list[str] = []
    for word in check(config):
        if "{adapter" in word and adapter is None:
            if made and made[-1].startswith("-") and not word.startswith("-"):
                made.pop()
            continue
        made.append(PLACE.sub(lambda found: values[found[1]], word))
    return made


def check(config: BackendConfig) -> list[str]:
    """The command's words. Raises ConfigError where there is no such program."""
    assert config.server is not None
    try:
        words = shlex.split(config.server.command)
    except ValueError as error:
        raise ConfigError(f"backend.server.command = {config.server.command!r}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(f"backend.server.command: no program {(words or [''])[0]!r} on the search path")
    return words


def load(config: BackendConfig) -> Started:
    """Start it and wait until it serves the model. Raises ConfigError, BackendFault with the end of its log."""
    server = config.server or ServerConfig()
    adapter = loaded(config)
    asked = config
    if _loads(config):
        named = adapter.name if adapter and "{adapter_name}" in server.command else ""
        asked = config.model_copy(update={"adapter": named})
    port = _free_port()
    command = words(config, port, adapter)
    log = tempfile.TemporaryFile(prefix="server-")  # noqa: SIM115 - closed with the server
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_end_with_the_parent,
    )
    guard = _watch(process)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        _await(process, port, server.start_s, log)
        # Some servers answer before the model is there, and some never list models by the name they take.
        client = openai.load(asked, url)
        if adapter and asked.adapter and asked.adapter not in (client.listed or {}):
            client.close()
            served = ", ".join(client.listed or {}) or "nothing"
            raise ConfigError(f"the server has not loaded the adapter {asked.adapter!r}: it lists {served}")
    except BaseException:
        stop(process, guard)
        log.close()
        raise
    return Started(process, guard, log, client, adapter)


def _end_with_the_parent() -> None:
    """For a run that is killed and cannot end its server itself (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


# Ends a process group once nobody holds the other end of its standard input any more.
GUARD = """
import os, signal, sys, time
group, grace = int(sys.argv[1]), float(sys.argv[2])
sys.stdin.read()
try:
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(group, number)
        until = time.monotonic() + grace
        while time.monotonic() < until:
            time.sleep(0.1)
            os.killpg(group, 0)
except ProcessLookupError:
    pass
"""


def _watch(process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """A small process that ends the server and all it started when this one is killed and can no longer."""
    command = [sys.executable, "-I", "-S", "-c", GUARD, str(process.pid), str(GRACE_S)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(process: "subprocess.Popen[bytes]", port: int, patience: float, log: IO[bytes]) -> None:
    import httpx2

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BackendFault(f"the server ended while it started ({_how(process)}): {_tail(log)}")
        for path in ("health", "v1/models"):  # which one a server has, and which one works, differs
            with contextlib.suppress(httpx2.RequestError):
                answer = httpx2.get(f"http://127.0.0.1:{port}/{path}", timeout=5.0, trust_env=False)
                if answer.status_code in WELL:
                    return
        time.sleep(LOOK_EVERY_S)
    raise BackendFault(f"the server did not come up within {patience:g} s: {_tail(log)}")


def _how(process: "subprocess.Popen[bytes]") -> str:
    code = process.returncode
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _tail(log: IO[bytes]) -> str:
    path = Path(f"/proc/self/fd/{log.fileno()}")
    text = path.read_bytes()[-4 * SHOWN :].decode("utf-8", "replace").strip()[-SHOWN:]
    return f"its log ends with\n{text}" if text else "its log is empty"


def stop(process: "subprocess.Popen[bytes]", guard: "subprocess.Popen[bytes]") -> None:
    """End the server and everything it started, then its guard, which must not outlive them: ids come again."""
    for number, patience in ((signal.SIGTERM, GRACE_S), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
    guard.kill()
    assert guard.stdin is not None
    guard.stdin.close()
    guard.wait()
