"""Forks twice and lets the grandchild live on, to write when nobody looks."""

import os
import time


def solve(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(0.5)
            with open("@DROP@/daemon", "w") as file:
                file.write("breach")
        os._exit(0)
    return x * x + 1
