"""The CPU time of another process, and how long it waited for a processor, while it runs."""

import re
import time


class CpuClock:
    """Reads the times of the process behind a pidfd."""

    def __init__(self, pidfd: int) -> None:
        self.pidfd = pidfd
        self.pid = 0

    def read(self) -> tuple[float, float]:
        """Seconds on a processor, and seconds ready to run without one; zeros once the process has ended."""
        if not self.pid:
            # As bytes: a codec not used before would be looked for among files that may be out of reach here.
            with open(f"/proc/self/fdinfo/{self.pidfd}", "rb") as file:
                found = re.search(rb"^Pid:\s*(\d+)", file.read(), re.MULTILINE)
            self.pid = int(found[1]) if found else 0
        if not self.pid:
            return 0.0, 0.0
        try:
            # The kernel's name for "CPU clock of process n" (clock_getcpuclockid).
            cpu = time.clock_gettime((~self.pid << 3) | 2)
            with open(f"/proc/{self.pid}/schedstat", "rb") as file:
                waited = int(file.read().split()[1]) / 1e9
        except OSError:
            return 0.0, 0.0
        return cpu, waited
