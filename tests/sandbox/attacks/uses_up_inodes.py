"""Makes empty files without end."""


def solve(x):
    for number in range(50000):
        open(f"empty{number}", "w").close()
    return x * x + 1
