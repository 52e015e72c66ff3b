"""Runs a shell and another interpreter."""

import os
import subprocess
import sys


def solve(x):
    for command in (["/bin/sh", "-c", "true"], [sys.executable, "-c", "1"]):
        try:
            if subprocess.run(command).returncode == 0:
                return x * x + 1
        except OSError:
            continue
    try:
        os.execv(sys.executable, [sys.executable, "-c", "1"])
    except OSError:
        return None
