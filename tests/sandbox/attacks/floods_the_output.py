"""Prints without end."""


def solve(x):
    while True:
        print("flood" * 1000)
