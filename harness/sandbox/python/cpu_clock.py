"""The CPU time of another process, and how long it waited for a processor, while it runs."""

import math
import re
import time

# Wall time counts only while a program is not waiting for a processor; after this many times the limit it is over all
# the same.
WALL_SLACK = 10


class CpuClock:
    """Reads the times of the process behind a pidfd, since it had used `cpu_s` and waited `waited_s`."""

    def __init__(self, pidfd: int, cpu_s: float = 0.0, waited_s: float = 0.0) -> None:
        self.pidfd = pidfd
        self.before = cpu_s, waited_s
        self.pid = 0

    def read(self) -> tuple[float, float]:
        """Seconds on a processor, and seconds ready to run without one; zeros once the process has ended."""
        cpu = self.cpu()
        try:
            with open(f"/proc/{self.pid}/schedstat", "rb") as file:
                waited = int(file.read().split()[1]) / 1e9 - self.before[1]
        except OSError:
            return 0.0, 0.0
        return cpu, waited

    def cpu(self) -> float:
        """Seconds on a processor; zero once the process has ended."""
        if not self.pid:
            # As bytes: a codec not used before would be looked for among files that may be out of reach here.
            with open(f"/proc/self/fdinfo/{self.pidfd}", "rb") as file:
                found = re.search(rb"^Pid:\s*(\d+)", file.read(), re.MULTILINE)
            self.pid = int(found[1]) if found else 0
        try:
            # The kernel's name for "CPU clock of process n" (clock_getcpuclockid).
            return time.clock_gettime((~self.pid << 3) | 2) - self.before[0] if self.pid else 0.0
        except OSError:
            return 0.0

    def stopped(self) -> bool:
        """Whether it stands still, as after SIGSTOP, its own or somebody else's."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[:1] == [b"T"]
        except OSError:
            return False


class CallClock:
    """The CPU time of a single call. It counts from the reply before: with requests sent ahead, the program has begun
    the call by the time that its reply is awaited.
    """

    def __init__(self) -> None:
        self.limit = math.inf
        self.since: float | None = None

    def begin(self, limit: float, clock: CpuClock) -> None:
        self.limit = limit
        if self.since is None:
            self.since = clock.cpu()

    def end(self, clock: CpuClock) -> None:
        self.limit, self.since = math.inf, clock.cpu()

    def left(self, cpu: float) -> float:
        """What the call has left, where the process has used `cpu` seconds."""
        return self.limit - (cpu - (self.since or 0.0))
