"""Allocates and touches more than the limit."""


def solve(x):
    block = bytearray(3 << 30)
    block[::4096] = b"x" * len(block[::4096])
    return x * x + 1
