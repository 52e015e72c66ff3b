"""Starts one worker: a zygote and a tester, two fresh interpreters that share nothing with the controller.

Both get a minimal environment, no site initialisation and only the descriptors they need. Neither loads the `__init__`
files of the harness: they must stay small, because every fork copies the zygote's page tables.
"""

import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.errors import SandboxFault
from harness.sandbox import framing, stalls
from harness.sandbox.isolation import confine, control_group, cpu_affinity, scratch
from harness.sandbox.python import interpreter
from harness.sandbox.values import codec
from harness.schema.execution import JUDGE_STALL_S

# Runs `harness.sandbox.<name>` without loading any `__init__.py` of the harness. Of what is imported nothing becomes
# garbage, so none is looked for.
_BOOT = """
import gc, sys, types
gc.disable()
root, name = sys.argv[1:3]
for package in ("", ".sandbox", ".sandbox.python", ".sandbox.values", ".sandbox.isolation", ".sandbox.languages",
                ".sandbox.sql", ".text", ".text.sql"):
    module = types.ModuleType("harness" + package)
    module.__path__ = [root + package.replace(".", "/")]
    sys.modules["harness" + package] = module
module = __import__("harness.sandbox." + name, fromlist=["start"])
gc.enable()
sys.dont_write_bytecode = True
module.start(sys.argv[3:])
"""
# Hash order is fixed, so that a program that iterates over a set gets the same verdict in every run. One thread for
# native libraries: more would count against the limits and slow each other down.
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "MPLCONFIGDIR": "/tmp",  # else matplotlib, which creates folders when it is imported, could not be
    "LANG": "C.UTF-8",
}
# Modules to hold ready are imported first, which on a busy machine takes a while.
_START_S, _IMPORT_S = 30.0, 120.0
_SPAWNING = threading.Lock()
_UIDS = itertools.count()  # of this process's workers, whichever pool they are of


class IsolationUnavailable(SandboxFault):
    """The kernel refuses what this isolation level needs."""


@dataclass(eq=False)
class SandboxWorker:
    """The controller's handle on a worker. `jobs`: the numbers of those sent to it. `core`: the one it is pinned to.
    `group`: what its steps are counted by. `watch`: sees whether it hangs. `tests`:
    the digest of those whose reference's values it was told last.
    """

    socket: socket.socket
    processes: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]
    scratch: tempfile.TemporaryDirectory[str] | None
    watch: stalls.StallWatch
    core: cpu_affinity.Core | None = None
    group: control_group.GroupFolders | None = None
    frames: framing.FrameBuffer = field(default_factory=lambda: framing.FrameBuffer(framing.JOB_LIMIT))
    jobs: list[int] = field(default_factory=list)
    deadline: float = 0.0
    tests: bytes = b""


def throwaway_uid() -> int:
    """A user id that nobody has, for root's workers, another each time: what one may start is counted by it, and at the
    `landlock` level it keeps workers apart. 0 where this process cannot switch to one.

    A container's root may lack the capabilities (6 and 7), or have no such id mapped.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        effective = int(next(line for line in file if line.startswith("CapEff")).split()[1], 16)
    if os.geteuid() != 0 or effective >> 6 & 3 != 3:
        return 0
    uid = 20000 + (os.getpid() * 997 + next(_UIDS)) % 40000
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return uid if any(inside <= uid < inside + count for inside, _, count in ranges) else 0


def start_worker(
    isolation: confine.Isolation,
    python: interpreter.Interpreter | None = None,
    preload: tuple[str, ...] = (),
    core: cpu_affinity.Core | None = None,
    restores: bool = False,
    stall_s: float = JUDGE_STALL_S,
) -> SandboxWorker:
    """Start a worker, with this process's own interpreter unless `python` is given, and wait until it is ready.
    Raises IsolationUnavailable with the kernel's reason. `core`: released when the worker is stopped.
    """
    python = python or interpreter.bare()
    uid = throwaway_uid()
    folder = None
    if isolation != "namespaces":
        folder = tempfile.TemporaryDirectory(prefix="harness-", ignore_cleanup_errors=True)
        os.chown(folder.name, uid or -1, uid or -1)
    plan = confine.ConfinementPlan(
        isolation, python.folders, folder.name if folder else "", uid, preload, python.importable, restores
    )
    ours, tester_end = socket.socketpair()
    control, zygote_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ExitStack() as cleanup, tester_end, control, zygote_end, cpu_affinity.pinned(core):
        cleanup.push(ours)
        zygote = spawn(
            python.path,
            "python.zygote",
            (zygote_end,),
            [json.dumps(plan._asdict())],
            dict.fromkeys(("TMPDIR", "MPLCONFIGDIR"), plan.scratch or "/tmp"),
            deep_stack=True,
        )
        # A pipe, because Python checks once whether a stream is seekable, and programs write to pipes.
        assert zygote.stdout is not None
        zygote.stdout.close()
        tester_process = spawn(
            python.path,
            "python.tester",
            (tester_end, control),
            [isolation, ",".join(preload), ",".join(plan.importable), *plan.packages],
            {},
        )
        cleanup.pop_all()
    # In a namespace of its own it is the one fork of the process that was started.
    watch = stalls.StallWatch(
        tester_process.pid, stall_s, zygote=(zygote.pid, int(isolation == "namespaces"))
    )
    worker = SandboxWorker(ours, (tester_process, zygote), folder, watch, core)
    _wait_ready(worker, _IMPORT_S if preload else _START_S)
    return worker


def _wait_ready(worker: SandboxWorker, patience_s: float) -> None:
    """Read the worker's first frame; a worker that is not ready is stopped. Raises SandboxFault."""
    try:
        if not select.select([worker.socket], [], [], patience_s)[0]:
            raise SandboxFault(f"a sandbox worker did not start within {patience_s:g} s")
        greeting: Mapping[str, Any] = codec.decode(framing.read_frame(worker.socket.fileno(), worker.frames))
        if "broken" in greeting:
            raise IsolationUnavailable(str(greeting["broken"]))
    except framing.ConnectionClosed:
        how = death_cause(worker)
        stop_worker(worker)
        raise SandboxFault(
            f"a sandbox worker ended while it was started{how}; rerun the same command to resume, with fewer"
            " --workers where memory is short"
        ) from None
    except SandboxFault:
        stop_worker(worker)
        raise
    worker.socket.setblocking(False)


def spawn(
    python: str,
    name: str,
    sockets: tuple[socket.socket, ...],
    arguments: list[str],
    more: dict[str, str],
    deep_stack: bool = False,
) -> subprocess.Popen[bytes]:
    """A fresh interpreter that runs `harness.sandbox.<name>` with these sockets and no other descriptor of ours."""
    fds = [sock.fileno() for sock in sockets]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    environment = _ENVIRONMENT | more
    if "LD_LIBRARY_PATH" in os.environ:
        # Some interpreters need it to find their own library.
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    command = [
        python,
        "-S",
        "-s",
        "-P",
        *(["-B"] if sys.dont_write_bytecode else []),  # else its own modules are kept compiled
        "-X",
        "utf8",
        "-c",
        _BOOT,
        root,
        name,
        *map(str, fds),
        *arguments,
    ]
    # Set here and not between fork and exec: the child would be a copy of this process, which takes longer than the
    # rest. The limit is the whole process's, so no other thread may start a child meanwhile.
    with _SPAWNING, confine.deep_stack() if deep_stack else nullcontext():
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name == "python.zygote" else subprocess.DEVNULL,
            env=environment,
            cwd="/",
            pass_fds=fds,
            start_new_session=True,
        )


def names(worker: SandboxWorker) -> list[tuple[str, int]]:
    """What a worker's processes are called, with their ids; a worker of other languages is one."""
    tester, zygote = worker.processes
    return [("process", tester.pid)] if tester is zygote else [("tester", tester.pid), ("zygote", zygote.pid)]


def death_cause(worker: SandboxWorker) -> str:
    """Which of a worker's processes a signal ended, as text to append to a message; "" where none did."""
    for name, process in zip(("tester", "zygote"), worker.processes, strict=True):
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(0.1)  # its socket closes just before it can be waited for
            if code == -signal.SIGKILL:
                return f": its {name} was killed (SIGKILL), as the kernel does when memory runs out"
            if code < 0:
                return f": its {name} was ended by {signal.Signals(-code).name}"
    return ""


def stop_worker(worker: SandboxWorker) -> None:
    """End a worker and everything below it, and wait until it is gone.

    The tester is killed; the zygote then reads the end of their socket, kills its forks and exits.
    """
    worker.socket.close()
    process, zygote = worker.processes
    process.kill()
    process.wait()
    worker.watch.resume()
    try:
        zygote.wait(timeout=5)
    except subprocess.TimeoutExpired:
        zygote.kill()
        zygote.wait()
    if worker.scratch is not None:
        scratch.empty_after_end(worker.scratch.name)
        worker.scratch.cleanup()
    if worker.core is not None:
        worker.core.release()
