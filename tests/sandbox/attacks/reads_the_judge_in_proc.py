"""Opens the judge's memory, command line and descriptors in /proc."""

import os


def solve(x):
    for pid in ("@PID@", str(os.getppid()), "1"):
        for name in ("cmdline", "environ", "maps", "mem", "fd/0", "cwd/.", "root/etc/passwd"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    if file.read(1):
                        return x * x + 1
            except OSError:
                continue
    return None
