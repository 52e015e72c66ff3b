"""Runs programs that nobody trusts, and decides with tests that they cannot see, forge or outlive.

    with sandbox.start(Settings()) as pool:
        for result in pool.map(programs): ...

Theory of operation
-------------------
Three kinds of process, started with the first program and kept warm:

    controller   this process. Holds records and secrets. Never near a program: it sends jobs and reads
                 results.
    tester       one a worker, a fresh interpreter. Holds the tests and runs them (exam.py) against a
                 proxy of the program's function (candidate.py), keeps the program's clock, decides. May
                 read libraries and nothing else, writes nothing, has no network (confine.quieten).
    zygote       one a worker, a fresh interpreter with an empty environment that has never seen a test.
                 Forks one confined process a program (program.py), kills and reaps it, says how it ended.
                 One spare fork is always ready.

Where the workers take all cores of the machine, each is bound to one (cores.py).

What crosses which pipe:

    controller, tester  a stream socket: the program, its tests and limits; the result (codec.py)
    tester, zygote      a packet socket: "done" one way; the descriptors of the next fork, and wait
                        status, CPU time and peak memory of the last one the other way
    tester, program     a stream socket made for this one program: its code, then calls and answers as
                        plain data of exact built-in types (codec.py); two pipes with its output

Once a program has passed some tests, the next one is asked all their questions at once; its answers are
taken up one by one, as before, and tests that ask something else after all begin anew in a fresh fork.

The tests' text, the expected values and the verdict are never in the program's memory, files or
descriptors. An answer is decoded into the tester's own classes: no `__eq__`, `__reduce__` or metaclass of
the program runs there. Where the tests ask for it (UnitTests.arrays) arrays, frames, sparse matrices and
dates cross as well, as an element type, a shape and raw bytes (arrays.py). Other values without a plain
form (functions, generators, instances) become opaque objects that equal nothing but themselves; iterators
can be gone through. Arguments are passed by value: a change in place is not seen by the test.

A test that hands the program something without a plain form, or uses names only the program defines, or
watches what it prints, runs beside the program in the confined process (beside.py), and the result says
`in_process`. Only the tests decide that, never an answer. Such a verdict can in principle be forged by a
program written to do it.

SQL is judged by a fourth kind of process, the engine (engine.py, queries.py): one a worker, confined like a
program, with the benchmark's databases read-only in its sight. Queries run inside it, one after another, and
their results are compared there; only the verdict crosses, as JSON. A query has SQLite's own limits; an engine
that one brings down is started anew.

Isolation levels, strongest first. `auto` takes the first whose whole set-up works; each worker tries it out on a fork.

    namespaces   user, mount, pid, ipc, uts and network namespaces. The root is a handful of read-only
                 folders (the interpreter's library, installed packages, system libraries, five devices);
                 there is no /proc. Each program is process 1 of a pid namespace, so nothing it leaves
                 survives, and has a mount namespace with 64 MB and 4,096 files of its own. No
                 capabilities, no new privileges, Landlock on top, seccomp (no child processes, no
                 sockets, no foreign signals, no rare corners of the kernel), limits on CPU, address
                 space, file size, descriptors and threads. Root changes to an identity that nobody has;
                 anybody else needs nothing but unprivileged user namespaces.
    landlock     for containers that allow no namespaces: the same without them. The machine's own file
                 system is visible by name (stat works), readable only in the same folders, writable only
                 in a scratch folder that is watched and emptied. chmod, chown, utime and xattr calls do
                 nothing and say they did.
    process      limits only, no protection. Only when named.

Tester and zygote run this Python, or another environment's (Settings.python): their files need nothing but
the standard library. Modules to preload are imported once by the zygote, inside its confinement; each fork
finds them there, and their memory is not counted as the program's.

Other languages than Python (languages.py) run by command: one worker process more (steps.py) compiles each
program and runs it, every step in a confined process of its own (cage.py) as above, with these differences.
A step may start processes and threads, 256 in all; it is process 1 of a pid namespace with an init, or its
worker is the subreaper that kills until nothing is left. The root has the toolchains' folders too, read-only,
and the 512 MB of scratch may be executed from. Memory is the sum over all processes without pages of files, looked at
every 20 ms, with a limit on each one's data behind it; CPU time is a sum too. At the landlock level it takes Landlock's
scope for signals (Linux 6.12) or root. The network, other processes and the machine's files are as far away.
Tests of such a program are in its own source, so the record says `in_process`: proofs.py has what makes the
usual forgeries fail, and what it cannot do.

A program has: CPU time (the limit that decides; a kernel limit two seconds later is the second line),
idle time (`wall_s`: seconds in which it neither ran nor waited for a processor, so load does not end it),
address space, output, 64 threads, no child process. Hash order and `random` start the same for every
program.

Not covered: faults of the kernel itself; timing and cache side channels; a program telling the time or
how busy the machine is; the 64 MB of scratch files beside its address space; at the landlock level what it
writes between two looks at the scratch folder (5 ms). At the namespaces level there is no /dev/stdin (open(0)
works). Test code is a benchmark's and is trusted not to attack.

Whose fault (exam.py): an exception of the program is `error`, a failing assertion of the test `failed`;
tests that do not compile, whose set-up fails, or that never call the program are a SandboxFault, never a
zero.
"""

from harness.sandbox.pool import Pool, Settings


def start(settings: Settings | None = None) -> Pool:
    """A sandbox; a context manager. Workers start with the first program, and end when it is closed."""
    return Pool(settings or Settings())


__all__ = ["Pool", "Settings", "start"]
