"""Computes forever with every signal blocked or handled."""

import signal

for number in range(1, 65):
    try:
        signal.signal(number, lambda *_: None)
    except (OSError, ValueError):
        continue
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def solve(x):
    while True:
        x += 1
