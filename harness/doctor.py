"""What this machine can do: the sandbox's rung and whether it holds, devices, extras, versions."""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness import provenance, sandbox
from harness.config import JudgeConfig
from harness.errors import HarnessError
from harness.schema import Program, UnitTests

OPTIONAL = {"peft": "adapters", "codebleu": "the codebleu_package scorer", "bitsandbytes": "quantised models"}


@dataclass(frozen=True)
class Probe:
    """A program and the status an honest sandbox gives it."""

    name: str
    code: str
    expected: frozenset[str]


TESTS = UnitTests(code="assert f(20) == 21", entry_point="f")
HELD = frozenset({"failed", "error", "timeout", "memory", "output", "signal"})

PROBES = (
    Probe("a right program passes", "def f(x):\n    return x + 1\n", frozenset({"passed"})),
    Probe("a wrong program fails", "def f(x):\n    return x\n", frozenset({"failed"})),
    Probe("exit status 0 is no pass", "import os\nos._exit(0)\n", HELD),
    Probe(
        "an object equal to everything fails",
        "class E:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return E()\n",
        HELD,
    ),
    Probe("an endless loop times out", "def f(x):\n    while True:\n        pass\n", frozenset({"timeout"})),
    Probe(
        "memory is limited",
        "def f(x):\n    return len(bytearray(64 << 30)) and 21\n",
        HELD,
    ),
    Probe(
        # It listens itself: a connection to a port where nobody listens would be refused without any sandbox.
        "no network",
        "import socket\ndef f(x):\n    door = socket.create_server(('127.0.0.1', 0))\n"
        "    socket.create_connection(door.getsockname(), 1)\n    return 21\n",
        HELD,
    ),
    Probe(
        "no file outside",
        "def f(x):\n    open('/etc/passwd').read()\n    return 21\n",
        HELD,
    ),
    Probe(
        "no child processes",
        "import subprocess\ndef f(x):\n    subprocess.run(['/bin/true'], check=True)\n    return 21\n",
        HELD,
    ),
)


def examine(judge: JudgeConfig) -> dict[str, Any]:
    """Everything `harness doctor` shows, as plain JSON. `held` is False when any probe got through."""
    return {
        "sandbox": _sandbox(judge),
        "devices": _devices(),
        "extras": {name: _installed(name) for name in OPTIONAL},
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
    }


def _sandbox(judge: JudgeConfig) -> Mapping[str, Any]:
    settings = sandbox.Settings(rung=judge.sandbox, workers=1, time_limit=judge.time_limit or 1.0)
    try:
        with sandbox.start(settings) as box:
            programs = [Program(code=probe.code, tests=TESTS) for probe in PROBES]
            results = list(box.map(programs))
            rung = box.rung
    except HarnessError as error:
        return {"rung": None, "error": str(error), "held": False, "probes": []}
    probes = []
    for probe, result in zip(PROBES, results, strict=True):
        status = "fault" if isinstance(result, HarnessError) else result.status
        probes.append({"name": probe.name, "status": status, "held": status in probe.expected})
    return {"rung": rung, "held": all(probe["held"] for probe in probes), "probes": probes}


def _devices() -> list[str]:
    if not _installed("torch"):
        return []
    import torch

    cuda = []
    for i in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(i).total_memory >> 30
        cuda.append(f"cuda:{i} {torch.cuda.get_device_name(i)} {memory} GiB")
    return [*cuda, f"cpu, {torch.get_num_threads()} threads"]


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None
