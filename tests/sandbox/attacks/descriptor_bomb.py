"""Opens descriptors without end."""

import os


def solve(x):
    for _ in range(5000):
        os.dup(1)
    return x * x + 1
