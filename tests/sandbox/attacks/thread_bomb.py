"""Starts threads without end."""

import threading
import time


def solve(x):
    threading.stack_size(64 << 10)
    count = 0
    try:
        for _ in range(2000):
            threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
            count += 1
    except RuntimeError:
        return None
    return x * x + 1
