"""Writes files far beyond any scratch space, in pieces that are small enough each."""


def solve(x):
    piece = b"x" * (8 << 20)
    for number in range(60):
        with open(f"part{number}", "wb") as file:
            file.write(piece)
    return x * x + 1
