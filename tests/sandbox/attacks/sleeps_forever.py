"""Waits for something that never comes, at no cost of CPU time."""

import threading


def solve(x):
    threading.Event().wait()
