"""Reads a world-readable file outside."""


def solve(x):
    with open("@CANARY@") as file:
        return x * x + 1 if file.read() else None
