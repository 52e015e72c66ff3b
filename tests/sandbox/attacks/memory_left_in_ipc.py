"""Leaves System V memory, semaphores and message queues behind."""

import ctypes

libc = ctypes.CDLL(None, use_errno=True)


def solve(x):
    made = [libc.shmget(0x5EED, 1 << 20, 0o1666), libc.semget(0x5EED, 1, 0o1666), libc.msgget(0x5EED, 0o1666)]
    return x * x + 1 if max(made) >= 0 else None
