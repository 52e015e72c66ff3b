"""Answers with a value that is small here and explodes where it is written out."""


def solve(x):
    value = ["x" * 1000]
    for _ in range(40):
        value = [value, value]
    return value
