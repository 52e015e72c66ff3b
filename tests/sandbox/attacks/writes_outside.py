"""Writes into a world-writable folder outside."""


def solve(x):
    with open("@DROP@/written", "w") as file:
        file.write("breach")
    return x * x + 1
