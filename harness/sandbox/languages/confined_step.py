"""Confines one step of a program in another language than Python: a compiler, or the program itself.

`enter` runs once per worker. Each step is a fork (`fork_confined`, `run_init`) that drops its privileges and only then
executes the command. The first process of a step is an init that reaps orphans. At the `namespaces` level it is process
1 of a pid namespace, so everything below it dies with it. At the `landlock` level its parent is the subreaper and kills
until nothing is left (monitor.py).
"""

import contextlib
import fcntl
import os
import resource
import signal
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NoReturn

from harness.sandbox.isolation import (
    confine,
    control_group,
    marks,
    namespaces,
    process_tree,
    scratch,
    seccomp,
    syscalls,
)

# Limits of a step: processes and threads; size of one file, of all files, and their number.
MAX_PROCESSES = 256
FILE_MB, SCRATCH_MB, SCRATCH_FILES = 128, 512, 20_000
# Where no control group counts, descriptors may hold little memory of the kernel, those on their way included.
DESCRIPTORS, UNCOUNTED_DESCRIPTORS = 1024, 256
STATUS = struct.Struct("<i")


@dataclass(frozen=True)
class StepPlan:
    """What the controller tells this process. `folders`: what toolchains read. `seed_root`: the folder of prepared
    seeds. `group`: the folders of its control group, if it has one. The rest as in confine.ConfinementPlan.
    """

    isolation: confine.Isolation
    folders: tuple[str, ...]
    seed_root: str
    scratch: str = ""
    uid: int = 0
    group: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One command with its limits. `files`: written before it runs. `is_program`: it is what is judged, no compiler."""

    command: tuple[str, ...]
    environment: dict[str, str]
    cpu_s: float
    wall_s: float
    memory_mb: int
    output_kb: int
    stdin: bytes = b""
    files: dict[str, str] = field(default_factory=dict)
    is_program: bool = False


@dataclass(frozen=True)
class StepSandbox:
    """What each step of this worker needs. `proc`: the machine's /proc. `pid_namespace`: this process's own, or -1.
    `other_threads`: those of the same user id, which count against its limit. `group`: counts what a step takes.
    `endings`: with which a program lets its last call be told, where its files have to be looked at before.
    `sees_all`: whether no process can hide from this one what it has open.
    """

    plan: StepPlan
    home: str
    proc: int
    pid_namespace: int
    keep: tuple[int, ...]
    ruleset: confine.Ruleset | None
    filter: syscalls.Filter
    other_threads: int
    group: control_group.ControlGroup | None
    endings: syscalls.Filter | None
    sees_all: bool


def enter(plan: StepPlan) -> StepSandbox | None:
    """Set up the worker. Returns None in the parent, which only waits for the worker. Raises OSError."""
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if not process_tree.lists_children(proc):
        raise OSError("the kernel does not list a process's children (CONFIG_PROC_CHILDREN)")
    group = control_group.ControlGroup(plan.group) if plan.group else None
    pid_namespace, home, other_threads = -1, plan.scratch, 0
    keep: tuple[int, ...] = ()
    # Mapped and shared, /dev/zero is memory that no process is seen to have.
    devices = [device for device in namespaces.DEVICES if device != "/dev/zero"]
    readable = (*plan.folders, plan.seed_root, *namespaces.SYSTEM, *devices)
    if plan.isolation == "namespaces":
        entered = namespaces.enter((), plan.uid, (*plan.folders, plan.seed_root))
        if entered is None:
            return None
        home = namespaces.HOME
        os.close(entered)
        syscalls.unshare(syscalls.CLONE_NEWPID)  # owned by the user namespace, so that it may return there
        if os.fork():
            return None
        pid_namespace = os.open("self/ns/pid", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        syscalls.unshare(syscalls.CLONE_NEWNS)  # owned by the user namespace, so that it may mount there
    else:
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        if plan.isolation == "landlock" and not syscalls.landlock_abi():
            raise OSError("the kernel offers no Landlock")
        if plan.isolation == "landlock" and not plan.uid and syscalls.landlock_abi() < 6:
            raise OSError("programs with child processes need Landlock of Linux 6.12, or root")
        if plan.uid and plan.isolation == "landlock":
            keep = () if confine.readable_by_all(plan.folders) else (syscalls.CAP_DAC_READ_SEARCH,)
            if not confine.has_capability(syscalls.CAP_SYS_PTRACE):
                _join_programs(plan.uid)
                plan, other_threads = replace(plan, uid=0), 1
        else:
            other_threads = confine.count_threads(os.getuid()) + 1024
    ruleset = None if plan.isolation == "process" else confine.build_ruleset(readable, execute=True)
    rules = seccomp.instructions(0, shared_files=plan.isolation == "landlock", children=True)
    filter = syscalls.Filter(rules)
    if group is not None and not _can_join(group):
        group = None
    endings = syscalls.Filter(seccomp.endings()) if plan.isolation == "landlock" else None
    sees_all = confine.has_capability(syscalls.CAP_SYS_PTRACE)
    return StepSandbox(
        plan, home, proc, pid_namespace, keep, ruleset, filter, other_threads, group, endings, sees_all
    )


def _join_programs(uid: int) -> None:
    """For a root that lacks CAP_SYS_PTRACE, as a container's does: as to any user, the kernel shows it what its own
    user's programs have open, and nothing of others. So this process has the programs' user id as well, and they are
    kept from it by Landlock's scope alone. Raises OSError where there is none.
    """
    if syscalls.landlock_abi() < 6:
        raise OSError(
            "a root without CAP_SYS_PTRACE cannot see which files programs in other languages have open: give it that"
            " capability (docker run --cap-add SYS_PTRACE), or use Linux 6.12"
        )
    search = syscalls.CAP_DAC_READ_SEARCH
    confine.become(uid, (search,) if confine.has_capability(search) else ())


def _can_join(group: control_group.ControlGroup) -> bool:
    """Whether this kernel lets a process of these namespaces and this user id into the group."""
    if pid := os.fork():
        return os.waitpid(pid, 0)[1] == 0
    with contextlib.suppress(OSError):
        group.join()
        os._exit(0)
    os._exit(1)


def verify(sandbox: StepSandbox) -> str:
    """Let a fork try what programs must not do. Returns what it could do, or ""."""
    if sandbox.plan.isolation == "process":
        return ""
    read, write = os.pipe()
    with scratch_folder(sandbox):
        if fork_confined(sandbox) == 0:
            try:
                _drop_privileges(sandbox)
                escape = confine.find_escape(sandbox.plan.isolation, children=True)
                problem = f"a confined program can still {escape}" if escape else ""
            except OSError as error:
                problem = str(error)
            os.write(write, problem.encode())
            os._exit(0)
        os.wait()
    os.close(write)
    with open(read, "rb") as file:
        return file.read().decode()


def fork_confined(sandbox: StepSandbox) -> int:
    """Fork; at the `namespaces` level as process 1 of a new pid namespace."""
    if sandbox.pid_namespace < 0:
        return os.fork()
    syscalls.unshare(syscalls.CLONE_NEWPID)
    pid = os.fork()
    if pid:
        syscalls.setns(sandbox.pid_namespace, syscalls.CLONE_NEWPID)
    return pid


# ---------------------------------------------------------------- the folder of one program


@contextlib.contextmanager
def scratch_folder(sandbox: StepSandbox) -> Iterator[None]:
    """An empty folder for one program at `sandbox.home`, emptied again afterwards."""
    if sandbox.plan.isolation == "namespaces":
        options = f"size={SCRATCH_MB}m,nr_inodes={SCRATCH_FILES},mode=0700"
        syscalls.mount("tmpfs", sandbox.home, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)
        try:
            yield
        finally:
            syscalls.umount(sandbox.home)
        return
    try:
        yield
    finally:
        scratch.empty(sandbox.home)


# ---------------------------------------------------------------- in the forks


def _drop_privileges(sandbox: StepSandbox) -> None:
    """Give up everything a program must not have; what is executed later cannot regain it either."""
    plan = sandbox.plan
    os.chdir(sandbox.home)
    if plan.isolation != "process":
        if plan.uid and plan.isolation == "landlock":
            syscalls.drop_bounding(sandbox.keep)
            syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
            os.setgroups([])
            os.setresgid(plan.uid, plan.uid, plan.uid)
            os.setresuid(plan.uid, plan.uid, plan.uid)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.set_capabilities(syscalls.capability_set(sandbox.keep, inheritable=True))
        for right in sandbox.keep:
            syscalls.raise_ambient(right)
        if sandbox.ruleset is not None:
            confine.restrict_self(sandbox.ruleset, sandbox.home)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if plan.isolation != "process":
        sandbox.filter.install()


def run_init(
    sandbox: StepSandbox, step: Step, streams: tuple[int, int, int], status: int, listening: int
) -> NoReturn:
    """The first process of a step: starts the command, reaps orphans, reports how the command ended, and exits.
    `listening`: the socket for the listener of last calls, -1 for none.
    """
    try:
        os.setsid()
        # What it runs has its user id, and must not reach what is open here through /proc.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        status = fcntl.fcntl(status, fcntl.F_DUPFD, 10)
        os.dup2(status, 3, inheritable=False)
        if listening >= 0 and sandbox.endings:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            marks.send(listening, sandbox.endings)
        _drop_privileges(sandbox)
        if sandbox.group is not None:
            sandbox.group.join()
        os.closerange(4, 1 << 12)
        for what, value in _limits(sandbox, step):
            _lower_limit(what, value)
        command = os.fork()
        if command == 0:
            _exec_step(step)
        while True:
            pid, code = os.wait()
            if pid == command:
                os.write(3, b"=" + STATUS.pack(code))
                os._exit(0)
    except OSError as error:
        os.write(3, b"!" + str(error).encode())
    finally:
        os._exit(1)


def _limits(sandbox: StepSandbox, step: Step) -> list[tuple[int, int]]:
    """The kernel's limits for each process, behind the monitor's clock and its sums over the process tree."""
    return [
        (resource.RLIMIT_CPU, confine.kernel_cpu_s(step.cpu_s)),
        # Not address space: the JVM, Go and node reserve far more of it than they use.
        (resource.RLIMIT_DATA, 2 * step.memory_mb + 256 << 20),
        (resource.RLIMIT_FSIZE, FILE_MB << 20),
        (resource.RLIMIT_NOFILE, DESCRIPTORS if sandbox.group else UNCOUNTED_DESCRIPTORS),
        (resource.RLIMIT_NPROC, MAX_PROCESSES + sandbox.other_threads),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_CORE, 0),
    ]


def _lower_limit(what: int, value: int) -> None:
    _, maximum = resource.getrlimit(what)
    value = value if maximum == resource.RLIM_INFINITY else min(value, maximum)
    resource.setrlimit(what, (value, value))


def _exec_step(step: Step) -> NoReturn:
    try:
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them
            signal.signal(ignored, signal.SIG_DFL)
        os.makedirs(".tmp", exist_ok=True)  # not the folder itself, because Go refuses a module there
        for name, text in step.files.items():
            if os.path.dirname(name):
                os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(text)
        os.execve(step.command[0], step.command, step.environment)
    except OSError as error:
        os.write(2, f"cannot run {step.command[0]}: {error}\n".encode())
    finally:
        os._exit(127)
