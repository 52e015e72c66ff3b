"""Typed wrappers of system calls that Python lacks, for x86-64 and arm64. Each raises OSError on failure.

No policy here: which namespaces, rules and filters are used is decided in `confine.py`.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
# Called without releasing the interpreter lock: the child must hold it.
_fork = ctypes.PyDLL(None, use_errno=True).fork
_prctl = _libc.prctl
_prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
# Created once: creating these types in each fork would take time there.
_Words = ctypes.c_uint32 * 6
_Longs = {count: ctypes.c_uint64 * count for count in (1, 2, 3, 4)}

MACHINE = os.uname().machine
_SEALS = 0x0F  # seal, shrink, grow, write

CLONE_FILES = 0x00000400
CLONE_PARENT = 0x00008000
CLONE_THREAD = 0x00010000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 0x1000, 0x4000, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_MM = 35
PR_SET_NO_NEW_PRIVS = 38
PR_SET_CHILD_SUBREAPER = 36
PR_SET_PTRACER = 0x59616D61
PR_CAP_AMBIENT = 47

CAP_DAC_READ_SEARCH = 2
CAP_SYS_PTRACE = 19
CAP_LAST = 40

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
_PIDFD_GET_MNT_NAMESPACE = 0xFF03


_TGKILL = {"x86_64": 234, "aarch64": 131}
# Numbers from 424 on are the same on every architecture.
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_TIMER_CREATE = {"x86_64": 222, "aarch64": 107}
_TIMER_SETTIME = {"x86_64": 223, "aarch64": 110}
_CLOCK_PROCESS_CPUTIME_ID = 2


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def fork() -> int:
    """fork(2) without the hooks that os.fork runs in the child: half a millisecond for renewing locks and random state,
    which a process with one thread does not need or sets itself.
    """
    return _check(_fork(), "fork")


def signal_thread(pid: int, thread: int, number: int) -> None:
    """Signal one thread of a process; nothing where it has ended."""
    if _syscall(_TGKILL[MACHINE], pid, thread, number) < 0 and ctypes.get_errno() != errno.ESRCH:
        _check(-1, "tgkill")


def trim_heap() -> None:
    """Give freed memory back to the kernel; a C library other than glibc does it by itself."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)


def cpu_timer(signum: int) -> int:
    """A timer, not running yet, that sends this signal once this process has used so much CPU time. It counts what the
    scheduler measures; setitimer and RLIMIT_CPU count clock ticks, which may be several times what was used where
    other processes share the processor.
    """
    # sigev_value, sigev_signo and sigev_notify (SIGEV_SIGNAL), of 64 bytes.
    event = (ctypes.c_uint64 * 8)(0, signum)
    timer = ctypes.c_int()
    result = _syscall(
        _TIMER_CREATE[MACHINE], _CLOCK_PROCESS_CPUTIME_ID, ctypes.byref(event), ctypes.byref(timer)
    )
    _check(result, "timer_create")
    return timer.value


def set_timer(timer: int, seconds: float) -> None:
    """From now on; 0 stops it."""
    whole, part = divmod(seconds, 1)
    value = _Longs[4](0, 0, int(whole), int(part * 1e9))
    _check(_syscall(_TIMER_SETTIME[MACHINE], timer, 0, ctypes.byref(value), None), "timer_settime")


def memory_file() -> int:
    return os.memfd_create("data", os.MFD_CLOEXEC)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, kind: int) -> None:
    _check(_libc.setns(fd, kind), "setns")


def mount_namespace(pidfd: int) -> int:
    """A descriptor of a process's mount namespace; -1 where it has ended, or before Linux 6.11."""
    try:
        return fcntl.ioctl(pidfd, _PIDFD_GET_MNT_NAMESPACE)
    except OSError:
        return -1


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode() or None
    )
    _check(result, f"mount {kind or source} on {target}")


def umount(target: str) -> None:
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    _check(_syscall(_PIVOT_ROOT[MACHINE], new.encode(), old.encode()), "pivot_root")


def clone_tree(path: str) -> int:
    """A detached copy of the mount tree at `path`, as a descriptor."""
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE
    return _check(_syscall(_OPEN_TREE, _AT_FDCWD, path.encode(), flags), f"open_tree {path}")


def attach_tree(tree: int, target: str) -> None:
    result = _syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
    _check(result, f"move_mount {target}")


def restrict_tree(tree: int, attributes: int) -> None:
    """Set mount attributes (read-only and the like) on a whole detached tree."""
    packed = _Longs[4](attributes, 0, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(packed))
    result = _syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, ctypes.byref(packed), size)
    _check(result, "mount_setattr")


def prctl(option: int, value: int = 0, extra: int = 0) -> int:
    return _check(_prctl(option, value, extra, 0, 0), "prctl")


# ---------------------------------------------------------------- capabilities


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


Capabilities = tuple[_CapHeader, "ctypes.Array[ctypes.c_uint32]"]


def capability_set(keep: Sequence[int] = (), inheritable: bool = False) -> Capabilities:
    """Permitted and effective `keep`, inheritable the same or empty, ready to be set."""
    mask = sum(1 << number for number in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    words = [low, low, low if inheritable else 0, high, high, high if inheritable else 0]
    return _CapHeader(0x20080522, 0), _Words(*words)


def set_capabilities(wanted: Capabilities) -> None:
    header, words = wanted
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(words)), "capset")


def raise_ambient(capability: int) -> None:
    """Programs executed from now on keep the capability. It must be permitted and inheritable."""
    prctl(PR_CAP_AMBIENT, 2, capability)


def drop_bounding(keep: Sequence[int] = ()) -> None:
    """Nothing executed from now on can gain a capability outside `keep`. Kernels differ in how many there are."""
    for number in range(CAP_LAST + 24):
        if number in keep:
            continue
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == 22 and number > 30:
                return
            raise


# ---------------------------------------------------------------- Landlock


class PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """The Landlock ABI version of this kernel; 0 without Landlock."""
    version: int = _syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    return max(0, version)


def landlock_ruleset(filesystem: int, network: int, scoped: int) -> int:
    """A ruleset that handles these access rights. Older kernels refuse fields they do not know: pass 0 for those."""
    fields = [filesystem, network, scoped]
    while len(fields) > 1 and fields[-1] == 0:
        fields.pop()
    packed = _Longs[len(fields)](*fields)
    size = ctypes.c_size_t(ctypes.sizeof(packed))
    return _check(_syscall(_LANDLOCK_CREATE, ctypes.byref(packed), size, 0), "landlock_create_ruleset")


def landlock_rule(path: str, access: int) -> PathRule:
    """What may be done below `path`. Holds a descriptor of it, so the rule can be added to several rulesets."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    # A number above those that a fork's own streams and channel take.
    rule = PathRule(access, fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))
    os.close(fd)
    return rule


def landlock_add(ruleset: int, rule: PathRule) -> None:
    _check(_syscall(_LANDLOCK_ADD, ruleset, 1, ctypes.byref(rule), 0), "landlock_add_rule")


def landlock_restrict(ruleset: int) -> None:
    _check(_syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")


# ---------------------------------------------------------------- seccomp


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


class Filter:
    """A BPF program ready to install: built once, so that a fork only fills in its process id where `blank` stands."""

    def __init__(self, instructions: Sequence[tuple[int, int, int, int]], blank: int = -1) -> None:
        self._block = (_Instruction * len(instructions))(*[_Instruction(*item) for item in instructions])
        self._blanks = [index for index, item in enumerate(instructions) if item[3] == blank]
        first = ctypes.cast(self._block, ctypes.POINTER(_Instruction))
        self.address = ctypes.addressof(program := _Program(len(instructions), first))
        self._program = program

    def install(self, pid: int = 0) -> None:
        """Needs no_new_privs. Applies to this process and everything it starts, for good."""
        for index in self._blanks:
            self._block[index].k = pid
        _check(_prctl(PR_SET_SECCOMP, 2, self.address, 0, 0), "prctl seccomp")


def sealed_file(data: bytes) -> int:
    """A descriptor of a file without a name that nobody can change, at its beginning."""
    fd = os.memfd_create("data", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
