"""Confines the calling process, by isolation level: namespaces, Landlock, seccomp, capabilities, limits.

Three steps: `enter` once in a zygote, `drop_privileges` in each of its forks before it reads any of the candidate,
`set_limits` when the fork learns the program's limits. The docstring of harness.sandbox says what each level covers.
"""

import contextlib
import os
import resource
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from harness.sandbox.isolation import named_packages, namespaces, seccomp, syscalls

Isolation = Literal["namespaces", "landlock", "process"]

SCRATCH_MB = 64
SCRATCH_FILES = 4096
THREADS = 64  # that a program may start
DESCRIPTORS = 256
STACK_MB = 256

_TICKS_SLACK = 10

# Others of a worker's user id while a program runs: its zygote and the next fork.
_WORKER_THREADS = 2
_BLANK = 0x7EADBEEF  # stands in the filter for a fork's own process id

# Landlock's file rights by ABI version, and those needed to read and write existing files and folders.
_ALL_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 5: 0xFFFF}
_READ_FILE, _READ_FOLDER, _WRITE_FILE, _EXECUTE = 1 << 2, 1 << 3, 1 << 1, 1 << 0
_NETWORK, _SCOPES = 0b11, 0b11


class ConfinementPlan(NamedTuple):
    """What the controller tells a zygote.

    `packages`: folders of installed packages. `scratch`: the folder for programs' files where none can be mounted.
    `uid`: an unused user id to switch to, 0 to keep the present one (only root can switch). `preload`: modules of
    installed packages to import before programs start. `importable`: those that may be imported, empty for all.
    `restores`: one process is put back after each program, in place of a fork for each.
    """

    isolation: Isolation
    packages: tuple[str, ...]
    scratch: str = ""
    uid: int = 0
    preload: tuple[str, ...] = ()
    importable: tuple[str, ...] = ()
    restores: bool = False


class Ruleset(NamedTuple):
    """A Landlock ruleset without the one rule that differs between programs. `rights`: all that this kernel knows for
    the file system, the network and other processes.
    """

    rights: tuple[int, int, int]
    rules: tuple[syscalls.PathRule, ...]


class ConfinedState(NamedTuple):
    """What `enter` prepares for the forks.

    `keep`: the capabilities they keep. `baseline_mb`: the zygote's address space. `hard_limits`: limits of this
    process that cannot be raised. `max_threads`: of the user id, with a program's own. `endings`: with which a fork
    lets its last call be told, where its files have to be looked at before they are gone.
    """

    isolation: Isolation
    home: str
    keep: syscalls.Capabilities
    baseline_mb: int
    ruleset: Ruleset | None
    filter: syscalls.Filter | None
    hard_limits: dict[int, int]
    max_threads: int
    endings: syscalls.Filter | None


@contextlib.contextmanager
def deep_stack() -> Iterator[None]:
    """What is started meanwhile may recurse deeply in C. The kernel lays out the address space by this limit."""
    before, maximum = resource.getrlimit(resource.RLIMIT_STACK)
    want = STACK_MB << 20
    if maximum != resource.RLIM_INFINITY:
        want = min(want, maximum)
    resource.setrlimit(resource.RLIMIT_STACK, (want, maximum))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (before, maximum))


# ---------------------------------------------------------------- once per worker


def enter(plan: ConfinementPlan) -> ConfinedState | None:
    """Confine the zygote. At the `namespaces` level this forks: the parent gets None and only has to wait.

    Raises OSError where the kernel refuses anything.
    """
    home, other_threads, packages = plan.scratch, _WORKER_THREADS, plan.packages
    keep: tuple[int, ...] = ()
    if plan.isolation == "namespaces":
        entered = namespaces.enter(plan.packages, plan.uid)
        if entered is None:
            return None
        statm, home = entered, namespaces.HOME
        readable, packages = namespaces.INSIDE, namespaces.inside_packages(len(plan.packages))
        other_threads += not plan.uid  # the one that waits outside
    else:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
        if plan.isolation == "landlock" and not syscalls.landlock_abi():
            raise OSError("the kernel offers no Landlock")
        readable = (*namespaces.library_folders(), *plan.packages, *namespaces.SYSTEM, *namespaces.DEVICES)
        if plan.uid:
            keep = _switch_user(plan.uid, (*namespaces.library_folders(), *plan.packages))
        else:
            other_threads = count_threads(os.getuid()) + 1024
        sys.path[:] = [*filter(os.path.isdir, sys.path), *plan.packages]
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    _lower_limit(resource.RLIMIT_FSIZE, SCRATCH_MB << 20)
    _lower_limit(resource.RLIMIT_NOFILE, DESCRIPTORS)
    _lower_limit(resource.RLIMIT_CORE, 0)
    _lower_limit(resource.RLIMIT_MEMLOCK, 0)
    hard_limits = {what: _hard_limit(what) for what in (resource.RLIMIT_CPU, resource.RLIMIT_AS)}
    ruleset = None if plan.isolation == "process" else build_ruleset(readable)
    if plan.preload and plan.isolation == "namespaces":
        namespaces.scratch(SCRATCH_MB, SCRATCH_FILES)  # some modules create a file when they are imported
    if plan.importable:
        named_packages.limit(packages, plan.importable)
    for name in plan.preload:
        __import__(name)
    with open(statm, "rb") as file:
        baseline_mb = int(file.read().split()[0]) * resource.getpagesize() >> 20
    rules = None
    if plan.isolation != "process":
        program = seccomp.instructions(_BLANK, shared_files=plan.isolation == "landlock")
        rules = syscalls.Filter(program, _BLANK)
    kept = syscalls.capability_set(keep)
    threads = other_threads + 1 + THREADS
    endings = syscalls.Filter(seccomp.endings()) if plan.isolation == "landlock" else None
    return ConfinedState(
        plan.isolation, home, kept, baseline_mb, ruleset, rules, hard_limits, threads, endings
    )


def _hard_limit(what: int) -> int:
    _, maximum = resource.getrlimit(what)
    return sys.maxsize if maximum == resource.RLIM_INFINITY else maximum


def _switch_user(uid: int, needed: Sequence[str]) -> tuple[int, ...]:
    """Switch to an unused user id; returns the capabilities to keep so that the interpreter can still be read.

    An interpreter below a folder that only root may enter needs the right to read past permissions. Landlock still
    limits which folders may be read at all.
    """
    keep = () if readable_by_all(needed) else (syscalls.CAP_DAC_READ_SEARCH,)
    become(uid, keep)
    return keep


def become(uid: int, keep: tuple[int, ...]) -> None:
    """Switch for good to a user id, and to these capabilities alone, effective and permitted."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    syscalls.set_capabilities(syscalls.capability_set(keep))


def has_capability(number: int) -> bool:
    """Whether this process has it in effect."""
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(line for line in file if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) >> number & 1)


def readable_by_all(paths: Sequence[str]) -> bool:
    """Whether any user may go down to these folders, and read those that are files."""
    places = {path[:end] for path in paths for end in range(1, len(path) + 1) if path[end:][:1] in ("/", "")}
    modes = [os.stat(place).st_mode for place in places]
    return all(mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH) for mode in modes)


def count_threads(uid: int) -> int:
    """The machine's threads of this user id: outside a user namespace the kernel's thread limit counts them all."""
    count = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue  # it ended meanwhile
    return count


# ---------------------------------------------------------------- in each fork


def drop_privileges(state: ConfinedState) -> None:
    """Give up everything a program must not have. None of it can be regained."""
    if state.isolation == "namespaces":
        namespaces.scratch(SCRATCH_MB, SCRATCH_FILES)
    os.chdir(state.home)
    _lower_limit(
        resource.RLIMIT_NPROC, state.max_threads
    )  # not the zygote's, which has to start the next fork
    if state.filter is None:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
        return
    syscalls.set_capabilities(state.keep)
    if state.ruleset is not None:
        restrict_self(state.ruleset, state.home)
    if state.isolation == "landlock":
        # The zygote then sees which files it has open. Its own domain keeps other programs away from it.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
    state.filter.install(os.getpid())


def find_escape(isolation: Isolation, children: bool = False) -> str:
    """For a fork that dropped its privileges: try what it must not be able to do. Returns the first attempt that
    succeeds, or "". `children`: it may start processes.
    """
    attempts: dict[str, Callable[[], object]] = {
        "start a process": os.fork,
        "open a socket": socket.socket,
        "write next to the interpreter": lambda: os.mkdir(os.path.join(os.path.dirname(os.__file__), "x")),
        "read the machine's files": lambda: os.close(os.open("/proc/self/environ", os.O_RDONLY)),
        "mount": lambda: syscalls.mount("tmpfs", "/", "tmpfs", 0),
        "make a namespace": lambda: syscalls.unshare(syscalls.CLONE_NEWUSER),
        "signal another process": lambda: os.kill(os.getppid() or os.getpid() + 1, 0),
    }
    if children:
        del attempts["start a process"]
    for name, attempt in attempts.items():
        with contextlib.suppress(OSError):
            attempt()
            return name
    if isolation == "namespaces" and os.getppid() > 1:
        return "see the machine's processes"
    return ""


def restrict_tester(packages: Sequence[str]) -> None:
    """For a tester: its code comes with a benchmark, not from a model, and needs only to read and to compute."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    syscalls.set_capabilities(syscalls.capability_set())
    libraries = (*namespaces.library_folders(), *packages, *namespaces.SYSTEM, *namespaces.DEVICES)
    ruleset = build_ruleset((*libraries, "/proc"))
    if ruleset is not None:
        restrict_self(ruleset, "")
    sends_input = ("memfd_create", "sendmsg")
    program = seccomp.instructions(os.getpid(), shared_files=True, allowed=sends_input)
    syscalls.Filter(program).install()


def build_ruleset(readable: Sequence[str], execute: bool = False) -> Ruleset | None:
    """Only these folders and files may be opened (and executed); no TCP, no signals or abstract sockets to processes
    outside. None where the kernel has no Landlock.
    """
    abi = syscalls.landlock_abi()
    if not abi:
        return None
    rights = max(value for version, value in _ALL_RIGHTS.items() if version <= abi)
    rules = [
        syscalls.landlock_rule(
            path, _READ_FILE | (_EXECUTE if execute else 0) | (_READ_FOLDER if os.path.isdir(path) else 0)
        )
        for path in filter(os.path.exists, readable)
    ]
    rules.append(syscalls.landlock_rule("/dev/null", _READ_FILE | _WRITE_FILE))
    return Ruleset((rights, _NETWORK if abi >= 4 else 0, _SCOPES if abi >= 6 else 0), tuple(rules))


def restrict_self(ruleset: Ruleset, writable: str) -> None:
    """Restrict this process for good to the ruleset and one folder that it may write to ("" for none)."""
    fd = syscalls.landlock_ruleset(*ruleset.rights)
    for rule in ruleset.rules:
        syscalls.landlock_add(fd, rule)
    if writable:
        syscalls.landlock_add(fd, syscalls.landlock_rule(writable, ruleset.rights[0]))
    syscalls.landlock_restrict(fd)


def set_limits(state: ConfinedState, cpu_s: float, memory_mb: int) -> None:
    """The kernel's own limits, as a second line of defence behind the tester's clock.

    The limit on address space is per process, and a candidate cannot start a second one. All of `memory_mb` is the
    program's: what the interpreter had before is added.
    """
    for what, value in (
        (resource.RLIMIT_CPU, kernel_cpu_s(cpu_s)),
        (resource.RLIMIT_AS, (memory_mb + state.baseline_mb) << 20),
    ):
        value = min(value, state.hard_limits[what])
        resource.setrlimit(what, (value, value))


def kernel_cpu_s(cpu_s: float) -> int:
    """RLIMIT_CPU for a program with this limit. The kernel counts a clock tick to whoever runs at that moment, so on a
    busy machine it ends a program that has used 1.9 s at a limit of 5: it stands far behind the clock that measures.
    """
    return int(_TICKS_SLACK * cpu_s) + 2


def _lower_limit(what: int, value: int) -> None:
    _, maximum = resource.getrlimit(what)
    if maximum != resource.RLIM_INFINITY:
        value = min(value, maximum)
    resource.setrlimit(what, (value, value))
