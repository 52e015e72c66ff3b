"""What `harness doctor` checks: isolation levels and whether the sandbox holds, languages, devices, extras, versions.

The probes run at any level. The attacks (sandbox/attacks, one file each, the same as in the tests) run only where every
probe was contained: without isolation they would do real damage to this machine.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from harness import environment, sandbox
from harness.config.run import JudgeConfig
from harness.errors import HarnessError, SandboxFault, UserError
from harness.sandbox import launch
from harness.sandbox.languages import table, toolchains, worker_pool
from harness.schema import Limits, Program, UnitTests

OPTIONAL = {"peft": "adapters", "codebleu": "the codebleu_package scorer", "bitsandbytes": "quantised models"}


@dataclass(frozen=True)
class SandboxProbe:
    """A program and the statuses that a working sandbox may give it."""

    name: str
    code: str
    expected: frozenset[str]


TESTS = UnitTests(code="assert f(20) == 21", entry_point="f")
CONTAINED = frozenset({"failed", "error", "timeout", "memory", "output", "signal"})

PROBES = (
    SandboxProbe("a right program passes", "def f(x):\n    return x + 1\n", frozenset({"passed"})),
    SandboxProbe("a wrong program fails", "def f(x):\n    return x\n", frozenset({"failed"})),
    SandboxProbe("exit status 0 is no pass", "import os\nos._exit(0)\n", CONTAINED),
    SandboxProbe(
        "an object equal to everything fails",
        "class E:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return E()\n",
        CONTAINED,
    ),
    SandboxProbe(
        "an endless loop times out", "def f(x):\n    while True:\n        pass\n", frozenset({"timeout"})
    ),
    SandboxProbe(
        "memory is limited",
        "def f(x):\n    return len(bytearray(64 << 30)) and 21\n",
        CONTAINED,
    ),
    SandboxProbe(
        # It listens itself: a port where nobody listens would refuse the connection without any sandbox.
        "no network",
        "import socket\ndef f(x):\n    door = socket.create_server(('127.0.0.1', 0))\n"
        "    socket.create_connection(door.getsockname(), 1)\n    return 21\n",
        CONTAINED,
    ),
    SandboxProbe(
        "no file outside",
        "def f(x):\n    open('/etc/passwd').read()\n    return 21\n",
        CONTAINED,
    ),
    SandboxProbe(
        "no child processes",
        "import subprocess\ndef f(x):\n    subprocess.run(['/bin/true'], check=True)\n    return 21\n",
        CONTAINED,
    ),
)


ATTACK_TESTS = UnitTests(
    code="assert solve(2) == 5\nassert solve(10) == 101",
    entry_point="solve",
    setup='def solve(x):\n    """One more than the square of x."""\n',
)
CORRECT_PROGRAM = "def solve(x):\n    return x * x + 1"
LIMITS = Limits(cpu_s=1.0, wall_s=1.5, memory_mb=512, output_kb=256)
# These leave nothing behind that a second run could find, and end only at a time limit.
RUN_ONCE = frozenset({"burns_time_and_ignores_signals", "sleeps_forever", "patched_judge_code"})
LEVELS: tuple[Literal["namespaces", "landlock"], ...] = ("namespaces", "landlock")


def check_machine(judge: JudgeConfig) -> dict[str, Any]:
    """Everything that `harness doctor` shows, as plain JSON. `held`: no probe and no attack got through."""
    return {
        "sandbox": check_sandbox(judge),
        "languages": {name: _language_version(name) for name in table.LANGUAGES},
        "devices": _devices(),
        "extras": {name: _installed(name) for name in OPTIONAL},
        "versions": environment.versions(),
        "hardware": environment.hardware(),
    }


def check_sandbox(judge: JudgeConfig) -> Mapping[str, Any]:
    """The isolation level in force (None and an error if none works), and how it held against probes and attacks."""
    settings = sandbox.Settings(isolation=judge.sandbox, workers=1, time_limit=judge.time_limit or 1.0)
    levels = {isolation: _try_level(isolation) for isolation in LEVELS}
    attacks: list[dict[str, Any]] = []
    try:
        with sandbox.start(settings) as box:
            programs = [Program(code=probe.code, tests=TESTS) for probe in PROBES]
            results = list(box.map(programs))
            isolation = box.isolation
        probes = []
        for probe, result in zip(PROBES, results, strict=True):
            status = "fault" if isinstance(result, HarnessError) else result.status
            probes.append({"name": probe.name, "status": status, "held": status in probe.expected})
        held = all(probe["held"] for probe in probes)
        if held and isolation != "process":
            attacks = _run_attacks(isolation)
    except HarnessError as error:
        return {
            "isolation": None,
            "levels": levels,
            "error": str(error),
            "held": False,
            "probes": [],
            "attacks": [],
        }
    held = held and all(attack["held"] for attack in attacks)
    return {"isolation": isolation, "levels": levels, "held": held, "probes": probes, "attacks": attacks}


def _try_level(isolation: Literal["namespaces", "landlock"]) -> str:
    """ "works", or why this machine does not offer the level, or offers it to Python alone."""
    try:
        launch.stop_worker(launch.start_worker(isolation))
    except SandboxFault as fault:
        return str(fault)
    others = worker_pool.LanguagePool(isolation, 1, lambda limits: limits)
    try:
        others.new_worker()
    except SandboxFault as fault:
        return f"works for Python; other languages: {fault}"
    finally:
        others.close()
    return "works"


# ---------------------------------------------------------------- the attacks


def load_attacks() -> dict[str, str]:
    """Every built-in attack by name: a `solve` that returns the right value only if the attack gets through."""
    folder = files("harness.sandbox") / "attacks"
    paths = {file.name: file for file in folder.iterdir()} if folder.is_dir() else {}
    names = sorted(name.removesuffix(".py") for name in paths if name.endswith(".py"))
    if not names:
        raise UserError("the built-in attacks are missing from this installation: install the harness again")
    return {name: paths[f"{name}.py"].read_text(encoding="utf-8") for name in names}


def _run_attacks(isolation: str) -> list[dict[str, Any]]:
    attacks = []
    settings = sandbox.Settings(isolation=isolation, workers=1)  # type: ignore[arg-type] # a level that a pool has named
    with _targets() as targets, sandbox.start(settings) as box:
        for name, code in load_attacks().items():
            for mark, value in targets.items():
                code = code.replace(f"@{mark}@", value)
            attacks.append(_run_attack(name, code, box, targets))
    return attacks


def _run_attack(name: str, code: str, box: sandbox.Pool, targets: Mapping[str, str]) -> dict[str, Any]:
    """Run the attack twice, because the second run finds what the first left; then a correct program has to pass."""
    attempts = [code] if name in RUN_ONCE else [code, code]
    programs = [
        Program(code=each, tests=ATTACK_TESTS, limits=LIMITS) for each in [*attempts, CORRECT_PROGRAM]
    ]
    statuses = ["fault" if isinstance(r, SandboxFault) else r.status for r in box.map(programs)]
    *tries, correct = statuses
    status = next((each for each in tries if each in ("passed", "fault")), tries[0])
    harm = ""
    if correct != "passed":
        harm = f", and the next program was judged {correct}"
    elif os.listdir(targets["DROP"]) or Path(targets["MINE"]).read_text(encoding="utf-8") != "canary":
        harm = ", and changed files outside"
    held = not harm and status not in ("passed", "fault")
    return {"name": name.replace("_", " "), "status": status + harm, "held": held}


@contextmanager
def _targets() -> Iterator[dict[str, str]]:
    """What the attacks aim at: files open to everybody, servers, a secret in the environment."""
    abstract = f"harness-{os.getpid()}"
    before = os.environ.get("HARNESS_CANARY")
    os.environ["HARNESS_CANARY"] = "canary"
    try:
        with (
            tempfile.TemporaryDirectory(prefix="harness-doctor-") as name,
            socket.create_server(("127.0.0.1", 0)) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_UNIX) as unix,
            socket.socket(socket.AF_UNIX) as nameless,
        ):
            folder = Path(name)
            (folder / "drop").mkdir()
            for path, mode in ((folder, 0o755), (folder / "drop", 0o777)):
                path.chmod(mode)
            for file in ("canary", "mine"):
                (folder / file).write_text("canary", encoding="utf-8")
            port = tcp.getsockname()[1]
            udp.bind(("127.0.0.1", port))
            unix.bind(str(folder / "socket"))
            nameless.bind(f"\0{abstract}")
            unix.listen()
            nameless.listen()
            (folder / "socket").chmod(0o777)
            yield {
                "CANARY": str(folder / "canary"),
                "MINE": str(folder / "mine"),
                "DROP": str(folder / "drop"),
                "PID": str(os.getpid()),
                "PORT": str(port),
                "UNIX": str(folder / "socket"),
                "ABSTRACT": abstract,
            }
    finally:
        del os.environ["HARNESS_CANARY"]
        if before is not None:
            os.environ["HARNESS_CANARY"] = before


# ---------------------------------------------------------------- the machine


def _devices() -> list[str]:
    if not _installed("torch"):
        return []
    import torch

    cuda = []
    for i in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(i).total_memory >> 30
        cuda.append(f"cuda:{i} {torch.cuda.get_device_name(i)} {memory} GiB")
    return [*cuda, f"cpu, {torch.get_num_threads()} threads"]


def _language_version(name: str) -> str:
    """The toolchain's version, or a line that says what to install."""
    if name == "python":
        return f"Python {sys.version.split()[0]}"
    tools = toolchains.toolchain(name)
    if tools.missing:
        return tools.hint
    try:
        return toolchains.version(name)
    except (OSError, subprocess.SubprocessError) as error:
        return f"its version cannot be asked: {error}"


def _installed(name: str) -> bool:
    return name in sys.modules or importlib.util.find_spec(name) is not None
