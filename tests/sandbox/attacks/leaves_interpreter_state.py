"""Leaves something in the interpreter that the next program might share."""

import builtins
import sys


def solve(x):
    if hasattr(builtins, "left_behind") or "left_behind" in sys.modules:
        return x * x + 1
    builtins.left_behind = True
    sys.modules["left_behind"] = sys
    sys.path.insert(0, "/nowhere")
    sys.setrecursionlimit(50)
    return None
