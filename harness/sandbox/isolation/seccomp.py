"""The system calls that a candidate must not make, as a BPF program for x86-64 and arm64.

It is a deny list: programs use hundreds of calls, attacks need the few that reach other processes, the network, rarely
used parts of the kernel, or memory that no limit counts. Denied calls fail with EPERM, so a program can continue. A
call through another architecture's table kills the process.

The kernel runs the filter at every call, and for every number when it is installed: so it is a tree, which finds a
number in eight comparisons where a list takes a hundred.
"""

from collections.abc import Mapping, Sequence

from harness.sandbox.isolation import call_tables, syscalls

# name: (x86-64, arm64)
# Not for programs that are one process (the go command locks its cache).
_ALONE = {"flock": (73, 32)}
# Where the scratch folder is watched. A file sent to oneself and closed is on the disk, and no descriptor shows it;
# what takes space without writing it takes more between two looks than a machine has, and beyond RLIMIT_FSIZE.
_SENDING = {"sendmsg": (46, 211), "sendmmsg": (307, 269)}
_FALLOCATE = (285, 47)
# The same by other doors, from XFS_IOC_ALLOCSP64 up to FS_IOC_UNRESVSP64, and FS_IOC_ZERO_RANGE.
_RESERVING_IOCTLS = (0x40305824, 0x4030582B, 0x40305839)
_CLOSE, _TCGETS = 3, 0x5401
# Ends a process; libc makes no other call for that.
EXIT_GROUP = 231 if syscalls.MACHINE == "x86_64" else 94
_CLONE = (56, 220)
_CLONE3 = 435
_SOCKETPAIR = (53, 199)
_PRCTL = (157, 167)
_PRLIMIT = (302, 261)
_IOCTL = (16, 29)
_FCNTL = (72, 25)
_MMAP = (9, 222)
_MAP_SHARED, _MAP_ANONYMOUS = 0x01, 0x20
_SIGNAL_CALLS = ((62, 129), (200, 130), (234, 131))  # kill, tkill, tgkill

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Terminals: feign input, and others. FIOSETOWN, SIOCSPGRP: whom the kernel sends signals for a descriptor.
_DENIED_IOCTLS = (0x5412, 0x541C, 0x8901, 0x8902)
# Flags, project, generation, seal and key of a file or folder, which Landlock does not control either:
# FS_IOC_SETFLAGS and its 32-bit form, FSSETXATTR, SETVERSION (and ext4's own), ENABLE_VERITY, SET_ENCRYPTION_POLICY.
_ATTRIBUTE_IOCTLS = (
    0x40086602,
    0x40046602,
    0x401C5820,
    0x40087602,
    0x40086604,
    0x40806685,
    0x800C6613,
)
# F_SETOWN, F_SETSIG, F_SETOWN_EX (the same), F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ (kernel memory)
_DENIED_FCNTLS = (8, 10, 15, 1024, 1026, 1031)
_STARTING_CALLS = ("fork", "vfork", "execve", "execveat")
_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWCGROUP
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
)
_AF_UNIX = 1

# Classic BPF: load a word, jump always / if equal / greater or equal / any bit set, return.
_LOAD, _JUMP, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO, _TELL = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
_EPERM, _ENOSYS, _EOPNOTSUPP = 1, 38, 95

Instruction = tuple[int, int, int, int]
Body = tuple[Instruction, ...]
_ALLOWED: Body = ((_RETURN, 0, 0, _ALLOW),)


def _argument(index: int, high: bool = False) -> Instruction:
    """Load half of a call's argument (both architectures are little-endian)."""
    return (_LOAD, 0, 0, 16 + 8 * index + (4 if high else 0))


def _errno(code: int) -> Body:
    return ((_RETURN, 0, 0, _ERRNO | code),)


def _choose(index: int, values: Sequence[int], match: Body, other: Body) -> Body:
    """`match` (one return) where the argument has one of the values, else `other`."""
    checks: list[Instruction] = [_argument(index)]
    for value in values:
        checks += [(_EQUAL, 0, 1, value & 0xFFFFFFFF), *match]
    return (*checks, *other)


def instructions(
    own_pid: int,
    shared_files: bool,
    machine: str = syscalls.MACHINE,
    allowed: Sequence[str] = (),
    children: bool = False,
) -> list[Instruction]:
    """The whole filter. `own_pid` is the only process that it may signal or set limits of.

    `shared_files`: the program sees the machine's file system, so it must not change what Landlock does not control.
    `allowed`: calls of the deny lists to allow. `children`: it may start programs and signal processes, because a
    pid namespace or Landlock's scope keeps others out of reach; limits it may still set only of itself. Raises OSError
    for a machine without a table.
    """
    if machine not in _ARCH:
        raise OSError(f"no table of system calls for {machine!r}, only for {', '.join(_ARCH)}")
    column = list(_ARCH).index(machine)
    bodies = _denied(column, shared_files, {*allowed, *(_STARTING_CALLS if children else ())}, children)
    bodies |= _checked(column, own_pid, shared_files, children)
    bodies.pop(-1, None)
    start: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, _ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":
        # The x32 table is another way to make every call.
        start += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    return [*start, *_tree(_ranges(bodies))]


def stateless(first_fd: int) -> list[Instruction]:
    """A further filter, for x86-64: tell the listener of any call after which the process cannot be put back to what it
    was by its memory and registers alone. `first_fd`: no descriptor from here on is open.
    """
    tell: Body = ((_RETURN, 0, 0, _TELL),)
    bodies = dict.fromkeys(call_tables.STATELESS.values(), _ALLOWED)
    bodies[_CLOSE] = (_argument(0), (_AT_LEAST, 0, 1, first_fd), *_ALLOWED, *tell)
    bodies[_IOCTL[0]] = _choose(1, (_TCGETS,), _ALLOWED, tell)
    return [(_LOAD, 0, 0, 0), *_tree(_ranges(bodies, tell))]


def endings() -> list[Instruction]:
    """A further filter: tell the listener of a process's last call."""
    return [(_LOAD, 0, 0, 0), *_tree(_ranges({EXIT_GROUP: ((_RETURN, 0, 0, _TELL),)}))]


def _denied(column: int, shared_files: bool, allowed: set[str], children: bool) -> dict[int, Body]:
    tables = [call_tables.DENIED, *([] if children else [_ALONE]), *([_SENDING] if shared_files else [])]
    denied = {
        numbers[column]: _errno(_EPERM)
        for table in tables
        for name, numbers in table.items()
        if name not in allowed
    }
    ignored = call_tables.ATTRIBUTES.values() if shared_files else ()
    if shared_files:
        denied[_FALLOCATE[column]] = _errno(_EOPNOTSUPP)  # libc then writes in its place
    return denied | {numbers[column]: _errno(0) for numbers in ignored}


def _checked(column: int, own_pid: int, shared_files: bool, children: bool) -> dict[int, Body]:
    """The calls that depend on their arguments."""
    deny = _errno(_EPERM)
    # A thread with descriptors of its own could keep what no limit and no list of its process shows.
    is_thread, shares = syscalls.CLONE_THREAD, syscalls.CLONE_FILES
    # The parent's child, which it could be taken for, is not the program's: nobody would look below it.
    elsewhere = _NAMESPACES | syscalls.CLONE_PARENT
    process = (_argument(0), (_ANY_BIT, 0, 1, elsewhere), *deny)
    thread = (*process, (_ANY_BIT, 0, 2, is_thread), (_ANY_BIT, 0, 1, shares), *_ALLOWED, *deny)
    if children:
        thread = (*process, (_ANY_BIT, 0, 2, is_thread), (_ANY_BIT, 1, 0, shares), *deny, *_ALLOWED)
    # PR_SET_DUMPABLE: what it has open could then not be counted.
    dangerous = (
        syscalls.PR_SET_PDEATHSIG,
        syscalls.PR_SET_DUMPABLE,
        syscalls.PR_SET_MM,
        syscalls.PR_SET_PTRACER,
    )
    ioctls = _choose(1, _DENIED_IOCTLS, deny, _ALLOWED)
    if shared_files:
        ioctls = _choose(1, (*_DENIED_IOCTLS, *_ATTRIBUTE_IOCTLS), deny, _reserving())
    bodies = {
        # Its flags are in memory, which a filter cannot read; ENOSYS makes libc fall back to clone.
        _CLONE3: _errno(_ENOSYS),
        _CLONE[column]: thread,
        _SOCKETPAIR[column]: _choose(0, (_AF_UNIX,), _ALLOWED, deny),
        _PRCTL[column]: _choose(0, dangerous, deny, _ALLOWED),
        _PRLIMIT[column]: _choose(0, (0, own_pid), _ALLOWED, deny),
        _IOCTL[column]: ioctls,
        _FCNTL[column]: _choose(1, _DENIED_FCNTLS, deny, _ALLOWED),
    }
    if children:
        # Several processes' shared memory is no one's address space, and pages given back stay in it.
        bodies[_MMAP[column]] = (
            _argument(3),
            (_ANY_BIT, 0, 2, _MAP_ANONYMOUS),
            (_ANY_BIT, 0, 1, _MAP_SHARED),
            *deny,
            *_ALLOWED,
        )
    for numbers in () if children else _SIGNAL_CALLS:
        bodies[numbers[column]] = _choose(0, _signal_targets(own_pid, numbers), _ALLOWED, deny)
    return bodies


def _reserving() -> Body:
    """For the loaded request of an ioctl: what fallocate is answered, or that it may go on."""
    first, last, single = _RESERVING_IOCTLS
    refused = _errno(_EOPNOTSUPP)
    return (
        (_EQUAL, 2, 0, single),
        (_AT_LEAST, 0, 2, first),
        (_AT_LEAST, 1, 0, last + 1),
        *refused,
        *_ALLOWED,
    )


def _ranges(bodies: Mapping[int, Body], others: Body = _ALLOWED) -> list[tuple[int, Body]]:
    """Where each range of numbers with one body begins, from 0 on. `others`: the body of numbers without one."""
    ranges: list[tuple[int, Body]] = []
    for number in sorted({0, *bodies, *(number + 1 for number in bodies)}):
        body = bodies.get(number, others)
        if not ranges or body != ranges[-1][1]:
            ranges.append((number, body))
    return ranges


def _tree(ranges: Sequence[tuple[int, Body]]) -> list[Instruction]:
    """Finds the range of the loaded number by halves, and does what its body says."""
    if len(ranges) == 1:
        return list(ranges[0][1])
    middle = len(ranges) // 2
    low, high = _tree(ranges[:middle]), _tree(ranges[middle:])
    number = ranges[middle][0]
    if len(low) < 256:
        return [(_AT_LEAST, len(low), 0, number), *low, *high]
    return [(_AT_LEAST, 0, 1, number), (_JUMP, 0, 0, len(low)), *low, *high]


def _signal_targets(own_pid: int, numbers: tuple[int, int]) -> tuple[int, ...]:
    """kill(0) and kill(own) reach only the candidate's own process: it leads its own session and cannot fork.

    tkill names a thread. libc needs it only for the calling thread, whose number a filter cannot know; so only the
    first thread (the process's number) may be named.
    """
    return (0, own_pid) if numbers == _SIGNAL_CALLS[0] else (own_pid,)
