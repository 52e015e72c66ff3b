"""Puts a process back, from outside, to the state in which it once waited for its job.

Its writable memory is write-protected asynchronously (userfaultfd, which the process makes itself and gives away), so
that the kernel lists the pages written since (PAGEMAP_SCAN, Linux 6.7). These are overwritten with a copy taken at the
checkpoint, then the registers are set (ptrace). Everything else of a process is state in the kernel: a process that
made a call which could change any of that (seccomp.stateless) must not be put back, but killed. Now and then all of it
is compared with what it was.
"""

import array
import contextlib
import ctypes
import fcntl
import os
import signal
import struct
import time

_libc = ctypes.CDLL(None, use_errno=True)
_ptrace = _libc.ptrace
_ptrace.restype = ctypes.c_long
_ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_mmap, _munmap, _madvise, _memcmp = _libc.mmap, _libc.munmap, _libc.madvise, _libc.memcmp
_mmap.restype, _mmap.argtypes = (
    ctypes.c_void_p,
    (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long),
)
_munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_READ_WRITE, _PRIVATE_ANONYMOUS, _NOT_IN_FORKS = 3, 0x22, 10
_SEIZE, _INTERRUPT, _DETACH, _GETREGSET, _SETREGSET = 0x4206, 0x4207, 17, 0x4204, 0x4205
_EVENT_STOP = signal.SIGTRAP | 128 << 8
_GENERAL, _EXTENDED = 1, 0x202
_RAX, _ORIG_RAX, _RIP = 10, 15, 16  # places in the general registers
_READV, _INTERRUPTED = 19, -512
_SYSCALL_BYTES = 2

_USERFAULTFD, _PIDFD_GETFD = 323, 438
_USER_MODE_ONLY, _WP_ASYNC, _WP_UNPOPULATED = 1, 1 << 15, 1 << 13
_UFFDIO_API, _UFFDIO_REGISTER, _UFFDIO_WRITEPROTECT = 0xC018AA3F, 0xC020AA00, 0xC018AA06
_PAGEMAP_SCAN, _PROTECT = 0xC0606610, 1
_ALLOWED, _WRITTEN, _PRESENT, _SWAPPED = 1, 2, 8, 16
_SCAN = struct.Struct("=12Q")
_TOP = 0x7FFFFFFFF000
_MOST_REGIONS, _MOST_PIECES = 8192, 1024

# What a program may allocate before the process has to ask the kernel for more.
_HEAP, _OBJECTS, _ARENA = 32 << 20, 2 << 20, 1 << 20
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_CHECKED_EVERY = 128


class ResetFailed(Exception):
    """A process that was put back differs from what it was."""


def unavailable() -> str:
    """Why this machine cannot do it, or ""."""
    if os.uname().machine != "x86_64":
        return f"written for x86-64, and this is {os.uname().machine}"
    if not hasattr(_libc, "mallopt"):
        return "needs glibc"
    try:
        os.close(userfault())
    except OSError as error:
        return f"{error}; needs Linux 6.7 or later, with userfaultfd"
    return ""


# ---------------------------------------------------------------- in the process itself


def userfault() -> int:
    """A descriptor through which this process's memory can be write-protected."""
    fd = _check(_libc.syscall(_USERFAULTFD, os.O_CLOEXEC | os.O_NONBLOCK | _USER_MODE_ONLY), "userfaultfd")
    try:
        fcntl.ioctl(fd, _UFFDIO_API, struct.pack("=3Q", 0xAA, _WP_ASYNC | _WP_UNPOPULATED, 0))
    except OSError:
        os.close(fd)
        raise
    return fd


def reserve() -> list[object]:
    """Let the allocators own memory that most programs do not use up. The result must stay alive."""
    _libc.mallopt(_MMAP_THRESHOLD, 1 << 30)
    _libc.mallopt(_TRIM_THRESHOLD, 1 << 30)
    _libc.mallopt(_TOP_PAD, _HEAP)
    _libc.malloc.restype, _libc.free.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    _libc.free(_libc.malloc(1 << 20))
    blocks: list[object] = [bytes(450) for _ in range(_OBJECTS // 512)]
    # One object in each arena keeps the allocator from giving it back.
    return list({id(block) // _ARENA: block for block in blocks}.values())


# ---------------------------------------------------------------- from outside


class Checkpoint:
    """The state of a process that waits in a read of its channel; taken once, returned to often."""

    def __init__(self, pid: int, userfault: int) -> None:
        self.pid, self.userfault = pid, userfault
        self._wait_for_read()
        self.pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        self.regions = array.array("Q", bytes(24 * _MOST_REGIONS))
        self.general, self.extended = self._registers(_GENERAL, 216), self._registers(_EXTENDED, 1 << 14)
        words = struct.unpack("=27q", self.general.raw)
        restart = [*words]
        restart[_RAX], restart[_ORIG_RAX], restart[_RIP] = _READV, -1, words[_RIP] - _SYSCALL_BYTES
        self.general.raw = struct.pack("=27q", *restart)
        self._copy_memory()
        self.kernel_state = self._kernel_state()
        self.resume()

    def close(self) -> None:
        os.close(self.pagemap)
        os.close(self.userfault)
        _munmap(self.copy, self.size)

    def reset(self) -> bool:
        """Stop the process and put it back. False if that cannot be done: it has to be killed."""
        if not self._stop():
            return False
        written = self._written()
        if written is None:
            return False
        local, remote = written
        try:
            self._transfer(_libc.process_vm_writev, local, remote)
            self._scan(0, _TOP, _ALLOWED | _WRITTEN, protect=True)
            self._set_registers(_GENERAL, self.general)
            self._set_registers(_EXTENDED, self.extended)
        except OSError:
            return False
        if int.from_bytes(os.urandom(2), "little") % _CHECKED_EVERY == 0 and (found := self.differences()):
            raise ResetFailed(found)
        return True

    def resume(self) -> None:
        _check(_ptrace(_DETACH, self.pid, 0, 0), "ptrace detach")

    def differences(self) -> str:
        """What of the stopped process is not as it was, or ""."""
        if (state := self._kernel_state()) != self.kernel_state:
            changed = set(state.splitlines()) ^ set(self.kernel_state.splitlines())
            return "; ".join(sorted(changed))[:500]
        if self._registers(_GENERAL, 216).raw != self.general.raw:
            return "registers"
        found = _memory(self.size)
        try:
            for first, last, delta in self.areas:
                here = [span for span in self.copied if first <= span[0] < last]
                for begin, end in here + self._spans(first, last, _PRESENT):
                    self._read(begin, end, found)
                    if _memcmp(found, begin + delta, end - begin):
                        return f"memory at {begin:#x}"
        finally:
            _munmap(found, self.size)
        return ""

    # ------------------------------------------------------------ stopping, registers

    def _stop(self) -> bool:
        """Attach and stop. False where it has ended, or stopped for another reason."""
        if _ptrace(_SEIZE, self.pid, 0, 0) or _ptrace(_INTERRUPT, self.pid, 0, 0):
            return False
        found = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return found is not None and found.si_code == os.CLD_TRAPPED and found.si_status == _EVENT_STOP

    def _wait_for_read(self) -> None:
        for _ in range(2000):
            if not self._stop():
                raise OSError("a process ended before it could be copied")
            words = struct.unpack("=27q", self._registers(_GENERAL, 216).raw)
            if (words[_ORIG_RAX], words[_RAX]) == (_READV, _INTERRUPTED):
                return
            self.resume()
            time.sleep(0.0005)
        raise OSError("a process did not wait for its job")

    def _registers(self, which: int, size: int) -> "ctypes.Array[ctypes.c_char]":
        buffer = ctypes.create_string_buffer(size)
        place = array.array("Q", (ctypes.addressof(buffer), size))
        _check(_ptrace(_GETREGSET, self.pid, which, place.buffer_info()[0]), "ptrace registers")
        return ctypes.create_string_buffer(buffer.raw[: place[1]], place[1])

    def _set_registers(self, which: int, values: "ctypes.Array[ctypes.c_char]") -> None:
        place = array.array("Q", (ctypes.addressof(values), len(values)))
        _check(_ptrace(_SETREGSET, self.pid, which, place.buffer_info()[0]), "ptrace registers")

    # ------------------------------------------------------------ memory

    def _copy_memory(self) -> None:
        """Copy what is there of the writable mappings, and have writes to them noted from now on."""
        mappings = self._writable()
        self.size = sum(end - begin for begin, end, _ in mappings)
        self.copy = to = _memory(self.size)
        self.areas: list[tuple[int, int, int]] = []
        self.copied: list[tuple[int, int]] = []
        for begin, end, of_file in mappings:
            # Of a file's mapping the kernel reads in what is not there yet, else it is zero.
            for first, last in [(begin, end)] if of_file else self._spans(begin, end, _PRESENT | _SWAPPED):
                self._read(first, last, to + first - begin)
                self.copied.append((first, last))
            fcntl.ioctl(self.userfault, _UFFDIO_REGISTER, struct.pack("=4Q", begin, end - begin, 2, 0))
            fcntl.ioctl(self.userfault, _UFFDIO_WRITEPROTECT, struct.pack("=3Q", begin, end - begin, 1))
            if self.areas and self.areas[-1][1] == begin:
                self.areas[-1] = (self.areas[-1][0], end, self.areas[-1][2])
            else:
                self.areas.append((begin, end, to - begin))
            to += end - begin

    def _writable(self) -> list[tuple[int, int, bool]]:
        """Start, end and whether a file is behind it, of each writable mapping."""
        found = []
        with open(f"/proc/{self.pid}/maps", encoding="utf-8") as file:
            for line in file:
                place, rights, _, _, inode, *_ = line.split()
                if rights[1] == "w" and rights[3] == "s":
                    raise OSError("a process shares memory that it can write to")
                if rights[1] == "w":
                    begin, end = (int(address, 16) for address in place.split("-"))
                    found.append((begin, end, inode != "0"))
        return found

    def _scan(self, begin: int, end: int, mask: int, any_of: int = 0, protect: bool = False) -> int:
        """The number of regions of such pages, which are then in `regions`; or write-protect them."""
        place, most = (0, 0) if protect else (self.regions.buffer_info()[0], _MOST_REGIONS)
        returned = 0 if protect else mask | any_of
        flags = _PROTECT if protect else 0
        request = _SCAN.pack(_SCAN.size, flags, begin, end, 0, place, most, 0, 0, mask, any_of, returned)
        count: int = fcntl.ioctl(self.pagemap, _PAGEMAP_SCAN, bytearray(request))
        return count

    def _spans(self, begin: int, end: int, any_of: int) -> list[tuple[int, int]]:
        count = self._scan(begin, end, 0, any_of)
        if count == _MOST_REGIONS:
            return [(begin, end)]
        return [(self.regions[at], self.regions[at + 1]) for at in range(0, 3 * count, 3)]

    def _written(self) -> "tuple[array.array[int], array.array[int]] | None":
        """Where the copies of the written pages are, and where they belong, as address and size by turns. None where
        there are more than fit, or memory that was not there: a deeper stack.
        """
        count = self._scan(0, _TOP, _ALLOWED | _WRITTEN)
        if count == _MOST_REGIONS:
            return None
        local, remote = array.array("Q"), array.array("Q")
        regions, areas = self.regions, iter(self.areas)
        first, last, delta = next(areas)
        for at in range(0, 3 * count, 3):
            begin, end = regions[at], regions[at + 1]
            while begin >= last:
                first, last, delta = next(areas, (_TOP, _TOP + 1, 0))
            if begin < first or end > last:
                return None
            local.extend((begin + delta, end - begin))
            remote.extend((begin, end - begin))
        return local, remote

    def _read(self, begin: int, end: int, to: int) -> None:
        here, there = array.array("Q", (to, end - begin)), array.array("Q", (begin, end - begin))
        self._transfer(_libc.process_vm_readv, here, there)

    def _transfer(
        self, call: "ctypes._NamedFuncPointer", here: "array.array[int]", there: "array.array[int]"
    ) -> None:
        """Copy between memory of this process and of the other."""
        count, size = len(here) // 2, ctypes.c_ulong
        local, remote = here.buffer_info()[0], there.buffer_info()[0]
        for at in range(0, count, _MOST_PIECES):
            pieces = min(_MOST_PIECES, count - at)
            done = call(
                self.pid,
                ctypes.c_void_p(local + 16 * at),
                size(pieces),
                ctypes.c_void_p(remote + 16 * at),
                size(pieces),
                size(0),
            )
            if _check(done, "process memory") != sum(there[2 * at + 1 : 2 * (at + pieces) : 2]):
                raise OSError("memory of a process that is not there")

    # ------------------------------------------------------------ what the kernel says

    def _kernel_state(self) -> str:
        """Mappings, descriptors, limits, signals and threads as text."""
        folder = f"/proc/{self.pid}"
        text = ""
        for name in ("maps", "limits"):
            with open(f"{folder}/{name}", encoding="utf-8") as file:
                text += file.read()
        # Not SigQ: it counts the signals of all processes of the user.
        kept = ("SigPnd", "SigBlk", "SigIgn", "SigCgt", "Shd", "Threads", "Umask", "Seccomp")
        with open(f"{folder}/status", encoding="utf-8") as file:
            text += "".join(line for line in file if line.startswith(kept))
        for fd in sorted(os.listdir(f"{folder}/fd")):
            with contextlib.suppress(OSError):
                text += f"{fd} {os.readlink(f'{folder}/fd/{fd}')}\n"
        return text + os.readlink(f"{folder}/cwd")


def _memory(size: int) -> int:
    """The address of memory of this process that its forks do not get."""
    address: int | None = _mmap(None, size, _READ_WRITE, _PRIVATE_ANONYMOUS, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "no memory for a copy of a process")
    assert address is not None
    _madvise(address, size, _NOT_IN_FORKS)
    return address


def take_descriptor(pidfd: int, fd: int) -> int:
    """A copy of another process's descriptor."""
    return _check(_libc.syscall(_PIDFD_GETFD, pidfd, fd, 0), "pidfd_getfd")


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result
