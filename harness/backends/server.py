"""A server started for the run and stopped after it: `vllm serve`, `transformers serve`, `llama-server`, any command.

The command gets {model} and {port}, and where it has them {adapter}, a folder, and {adapter_name}. Once it reports that
it is ready, it is used like any other server with OpenAI's protocol. Its output goes to a file, whose end is shown if
it does not start. It runs in a session of its own, which is ended with the run, also if that is interrupted or killed.
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
from harness.backends.loader import BackendLoader, require_model
from harness.backends.openai import adapter_proof
from harness.config.backend import BackendConfig, ServerConfig
from harness.errors import BackendFault, ConfigError
from harness.schema import Capabilities, Generation, Prompt, Request, Sampling

MAX_SHOWN = 2000  # characters of its log in a message
POLL_S = 0.25
READY = (200, 401, 403)  # a server that asks for a key is up
GRACE_S = 10.0  # between SIGTERM and SIGKILL
PLACEHOLDER = re.compile(r"\{(model|port|adapter|adapter_name)\}")
_PR_SET_PDEATHSIG = 1


@dataclass
class ServerBackend:
    """A schema.Backend: a server, and its client."""

    config: BackendConfig
    process: "subprocess.Popen[bytes]"
    guard: "subprocess.Popen[bytes]"
    log: IO[bytes]
    client: openai.OpenAIClient
    adapter: "ServedAdapter | None" = None

    @property
    def capabilities(self) -> Capabilities:
        return self.client.capabilities

    @property
    def identity(self) -> Mapping[str, str]:
        by_command = {adapter_proof.KEY: "vouched: the command loads it"}
        adapter = {"adapter": self.adapter.digest} if self.adapter else {}
        return {**(by_command if adapter else {}), **self.client.identity, "kind": "server", **adapter}

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        if self.log.closed:
            raise BackendFault("the server was stopped, and the start with another adapter failed")
        try:
            yield from self.client.generate(requests, sampling)
        except BackendFault as error:
            if self.process.poll() is not None:
                raise BackendFault(
                    f"{error}. The server has ended ({_exit_reason(self.process)}): {_log_tail(self.log)}"
                ) from None
            raise

    def tokens(self, prompt: Prompt) -> int:
        return self.client.tokens(prompt)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return self.client.fits(prompt, max_tokens)

    def set_adapter(self, adapter: str) -> None:
        """Ask for another adapter by its name, or restart the server if its command loads the adapter.

        Where it does not start with that one there is none, until one with another is asked for.
        """
        if not _loads_adapter(self.config):
            self.client.set_adapter(adapter)
            return
        self.close()
        new = load(self.config.model_copy(update={"adapter": adapter}))
        self.process, self.guard, self.log, self.client = new.process, new.guard, new.log, new.client
        self.adapter = new.adapter

    def close(self) -> None:
        if self.log.closed:
            return
        self.client.close()
        stop(self.process, self.guard)
        self.log.close()


@dataclass(frozen=True)
class ServedAdapter:
    """An adapter that the command loads: `name` is what requests ask for, if the command gives it one."""

    path: Path
    name: str
    digest: str


def _loads_adapter(config: BackendConfig) -> bool:
    return config.server is not None and "{adapter}" in config.server.command


def find_served_adapter(config: BackendConfig) -> ServedAdapter | None:
    """A PEFT adapter (folder or hub id), or a file in the server's own form. Raises UserError."""
    if not config.adapter or not _loads_adapter(config):
        return None
    from harness.backends.hf.adapters.adapter import find_adapter

    file = Path(config.adapter).expanduser()
    if file.is_file():
        return ServedAdapter(file, file.stem, hub.sha256(file))
    found = find_adapter(config.adapter)
    return ServedAdapter(found.folder, Path(config.adapter.partition("@")[0]).name, found.digest)


def command_line(config: BackendConfig, port: int, adapter: ServedAdapter | None) -> list[str]:
    """The command with its values. Without an adapter, what names one is dropped, with the option before it."""
    values = {"model": config.model, "port": str(port)}
    if adapter is not None:
        values |= {"adapter": str(adapter.path), "adapter_name": adapter.name}
    made: list[str] = []
    for word in command_words(config):
        if "{adapter" in word and adapter is None:
            if made and made[-1].startswith("-") and not word.startswith("-"):
                made.pop()
            continue
        made.append(PLACEHOLDER.sub(lambda found: values[found[1]], word))
    return made


def command_words(config: BackendConfig) -> list[str]:
    """The command's words. Raises ConfigError if there is no such program."""
    assert config.server is not None
    try:
        words = shlex.split(config.server.command)
    except ValueError as error:
        raise ConfigError(f"backend.server.command = {config.server.command!r}: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(f"backend.server.command: no program {(words or [''])[0]!r} on the search path")
    return words


def load(config: BackendConfig, problem_ids: Sequence[str] = ()) -> ServerBackend:
    """Start it and wait until it serves the model. Raises ConfigError, BackendFault with the end of its log."""
    del problem_ids
    require_model(config)
    server = config.server or ServerConfig()
    adapter = find_served_adapter(config)
    asked = config
    if _loads_adapter(config):
        named = adapter.name if adapter and "{adapter_name}" in server.command else ""
        asked = config.model_copy(update={"adapter": named})
    port = _free_port()
    command = command_line(config, port, adapter)
    log = tempfile.TemporaryFile(prefix="server-")  # noqa: SIM115 - closed with the server
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_end_with_the_parent,
    )
    guard = _start_guard(process)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        _wait_until_ready(process, port, server.start_s, log)
        # Some servers answer before the model is there, and some never list models by the name they take.
        client = openai.connect(asked, url)
        if adapter and asked.adapter and asked.adapter not in (client.served_models or {}):
            client.close()
            served = ", ".join(client.served_models or {}) or "nothing"
            raise ConfigError(f"the server has not loaded the adapter {asked.adapter!r}: it lists {served}")
    except BaseException:
        stop(process, guard)
        log.close()
        raise
    return ServerBackend(config, process, guard, log, client, adapter)


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


def _start_guard(process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
    """A small process that ends the server and all it started if this one is killed and cannot."""
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


def _wait_until_ready(process: "subprocess.Popen[bytes]", port: int, patience: float, log: IO[bytes]) -> None:
    import httpx2

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BackendFault(
                f"the server ended while it started ({_exit_reason(process)}): {_log_tail(log)}"
            )
        for path in ("health", "v1/models"):  # which one a server has, and which one works, differs
            with contextlib.suppress(httpx2.RequestError):
                answer = httpx2.get(f"http://127.0.0.1:{port}/{path}", timeout=5.0, trust_env=False)
                if answer.status_code in READY:
                    return
        time.sleep(POLL_S)
    raise BackendFault(f"the server did not come up within {patience:g} s: {_log_tail(log)}")


def _exit_reason(process: "subprocess.Popen[bytes]") -> str:
    code = process.returncode
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"


def _log_tail(log: IO[bytes]) -> str:
    path = Path(f"/proc/self/fd/{log.fileno()}")
    text = path.read_bytes()[-4 * MAX_SHOWN :].decode("utf-8", "replace").strip()[-MAX_SHOWN:]
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


def check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    """That there are a model's name, the program and the adapter. Raises UserError."""
    del problem_ids
    require_model(config)
    command_words(config)
    find_served_adapter(config)


backend = BackendLoader(
    load, check, openai.check_sampling, openai.CAPABILITIES, check_fim=openai.gap.check_fim
)
