"""Runs untrusted programs and judges them with tests that they can neither see nor forge nor outlive.

    with sandbox.start(Settings()) as pool:
        for result in pool.map(programs): ...

Theory of operation
-------------------
Three kinds of process, started with the first program and kept alive:

    controller   this process. Holds records and secrets. Never runs a program: it sends jobs and reads results.
    tester       one per worker, a fresh interpreter. Holds the tests and runs them (python/test_runner.py) against a
                 proxy of the program's function (python/candidate.py), enforces the program's time limits, decides.
                 May read libraries and nothing else, writes nothing, has no network (confine.restrict_tester).
    zygote       one per worker, a fresh interpreter with a minimal environment that has never seen a test. Forks one
                 confined process per program (python/child.py), kills and reaps it, reports how it ended. One spare
                 fork is always ready.

Where the workers use all cores of the machine, each is pinned to one (isolation/cpu_affinity.py).

What passes between them:

    controller, tester  a stream socket: the program, its tests and limits; the result (values/codec.py)
    tester, zygote      a packet socket: "done" one way; the other way the next fork's descriptors, and wait status,
                        CPU time and peak memory of the last fork
    tester, program     a stream socket made for this program: its code, then requests and replies as plain data of
                        exact built-in types (values/codec.py); two pipes with its output

Speculation: once a program has passed some tests, the next one is sent all their requests at once. Its replies are used
one by one, as before, and tests that make other requests after all start over in a fresh fork.

The tests' text, the expected values and the verdict are never in the program's memory, files or descriptors. A reply is
decoded into the tester's own classes: no `__eq__`, `__reduce__` or metaclass of the program runs there. The standard
library's own types (named tuples, views, dates, UserList ...) are built again there (values/standard_types.py). Where
the tests ask for it (UnitTests.arrays) arrays, data frames and sparse matrices are sent too, as an element type, a
shape and raw bytes (values/arrays.py). Other values without a plain form (functions, generators, instances) become
opaque objects that equal nothing but themselves; iterators can be iterated over. Arguments are passed by value.

A test that passes the program something without a plain form, or needs more of it than values (python/needs.py), runs
in the program's own process (python/in_process.py), and the result says `in_process`. Only the tests decide that, never
a reply. Such a verdict can in principle be forged by a program written to do it.

SQL is judged by a fourth kind of process (sql/worker.py, sql/client.py): one per worker, confined like a program, with
the benchmark's databases visible read-only. Queries run inside it, one after another, and their results are compared
there; only the verdict is sent, as JSON. A query has SQLite's own limits; a process that one brings down is replaced.
All are forks of one starter, which is not confined and never sees a query. Where nothing but SQL is judged
(Settings.queries) it is such a fork that tries out which isolation works, and no tester or zygote is started.

Settings.process "restore": one such process is put back after each program (python/restoring.py, isolation/restore.py),
unless the program changed more than memory; docs/sandbox.md says how that is known.

Isolation levels, strongest first. `auto` takes the first whose whole set-up works; each worker tries it out in a fork.

    namespaces   user, mount, pid, ipc, uts and network namespaces. The root is a handful of read-only folders (the
                 interpreter's library, installed packages, system libraries, five devices) and a /proc that serves
                 /dev/stdin and the like, and of which nothing can be read. Each program has a mount namespace with 64
                 MB and 4,096 files of its own. No capabilities, no new privileges, Landlock on top, seccomp (no child
                 processes, no sockets, no signals to others, no rarely used parts of the kernel), limits on CPU,
                 address space, file size, descriptors and threads. Root switches to a user id that nobody has; any
                 other user needs nothing but unprivileged user namespaces.
    landlock     for containers that do not allow namespaces: the same without them. The machine's own file system is
                 visible by name (stat works), readable only in the same folders, writable only in a scratch folder that
                 is watched (names, depth, size, files without a name, threads) and emptied. chmod, chown, utime and
                 xattr calls do nothing and report success.
    process      limits only, no protection. Used only when asked for by name.

Tester and zygote run this Python or another environment's (Settings.python): their files need nothing but the standard
library. Modules to preload are imported once by the zygote, after it is confined; each fork has them loaded, and their
memory does not count as the program's.

Other languages than Python (languages/table.py) run by command: a further worker process (languages/worker.py)
compiles each program and runs it, every step in a confined process (languages/confined_step.py) as above, with these
differences. A step may start processes and threads, 256 in all; it is process 1 of a pid namespace with an init, or its
worker is the subreaper that kills until nothing is left. The root also has the toolchains' folders, read-only, and the
512 MB of scratch space are executable. Memory and CPU time are the kernel's counts of a control group where one can be
made (isolation/control_group.py), looked at every 20 ms, with a limit of the kernel's behind it. Elsewhere they are
sums over all processes: memory without file pages, with page tables and what sockets and pipes may hold. The `landlock`
level then takes Landlock's scope for signals (Linux 6.12) or root. Network, other processes and the machine's files are
as far out of reach. The tests of such a program are in its own source, so the record says `in_process`:
tasks/families/completion_marker.py says what makes the usual forgeries fail, and what it cannot do.

What judging a program's values costs is limited too (python/budget.py): the tester's CPU time to twice the program's,
its memory to 200 MB over what the tests take. A program that exceeds this, or ends two workers, is an `error`.

A program has limits on: CPU time (the one that decides; a kernel limit two seconds later stands behind it), idle time
(`wall_s`: seconds in which it neither ran nor waited for a processor, so that a busy machine does not end it), address
space, output, 64 threads, no child process. Hash order and `random` start the same for every program.

Not covered: bugs of the kernel; timing and cache side channels; a program that reads the time or how busy the machine
is; the 64 MB of scratch files on top of its address space; at the `landlock` level what it writes between two looks at
the scratch folder (5 ms, or 20 times what a look takes), and there multiprocessing's shared memory. Test code comes
with a benchmark and is trusted not to attack.

Whose fault (python/test_runner.py): an exception of the program is `error`, a failing assertion of the test `failed`;
tests that do not compile, whose set-up fails, or that never call the program are a SandboxFault, never a zero.
"""

from harness.sandbox.pool import Pool, Settings


def start(settings: Settings | None = None) -> Pool:
    """A sandbox, as a context manager. Workers start with the first program and end when it is closed."""
    return Pool(settings or Settings())


__all__ = ["Pool", "Settings", "start"]
