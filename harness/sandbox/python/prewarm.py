"""What every program would do first, done once in the zygote, so that its forks find it done.

A fork shares the zygote's memory until one of them writes to a page; the copy then made costs more than most
programs' own work. So the modules that programs import are there already, the interpreter has seen code like
theirs (it rewrites code that it runs often, and fills caches), and no holes are left in the allocator: what a
fork allocates lies together on new pages and not here and there on shared ones.
"""

import contextlib
import gc
import os
import socket
import sys

from harness.sandbox import framing
from harness.sandbox.python import child
from harness.sandbox.values import codec

# Modules that programs and the standard library's own functions use most. Each one more makes each fork
# dearer, so those that few programs want (decimal, ctypes, tempfile ...) are imported by the few.
MODULES = (
    "bisect",
    "collections",
    "copy",
    "datetime",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "threading",
    "traceback",
    "typing",
)
_ROUNDS = 24  # the interpreter adapts a function's code after eight calls, and gives up on some of it later
_PROGRAM = '''
from typing import Any, Dict, List, Optional, Set, Tuple, Union
import math, re, string, collections, itertools, functools


def helper(number: int) -> bool:
    """Whether a number is prime."""
    if number < 2:
        return False
    for divisor in range(2, int(math.sqrt(number)) + 1):
        if number % divisor == 0:
            return False
    return True


class Point:
    def __init__(self, x, y=0):
        self.x, self.y = x, y

    def __eq__(self, other):
        return isinstance(other, Point) and self.x == other.x


def answer(numbers: List[int], words: Optional[List[str]] = None, table: Dict[str, Any] = {}) -> Tuple[Any, ...]:
    counts = collections.Counter(words or [])
    found: Set[int] = {n for n in numbers if helper(n)}
    longest = max(words or [""], key=len)
    text = " ".join(sorted(word.lower().strip() for word in words or []))
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    stack = []
    for index, sign in enumerate(text):
        if sign.isdigit() or sign in "([{":
            stack.append(sign)
        elif stack and index % 2:
            stack.pop()
    while len(stack) > 3:
        stack = stack[1:]
    try:
        first = numbers[0] / len(numbers)
    except (IndexError, ZeroDivisionError):
        first = 0.0
    pairs = [(a, b) for a, b in zip(numbers, numbers[1:]) if a < b]
    point = Point(len(pairs))
    total = sum(n * n for n in numbers) + abs(min(numbers, default=0)) + point.x
    return sorted(found), f"{longest}:{total:.2f}", first, dict(best), pairs, round(first, 2), text[::-1], None
'''
_ARGUMENTS = [[5, 3, 8, 13, 21, 34], ["one", "Two", "three", "(a[1])", "two"]]


def warm_up() -> None:
    """Import what programs import, and let the interpreter see code like theirs."""
    for name in MODULES:
        __import__(name)
    _rehearse()


def freeze() -> None:
    """Last of all: what is here stays as it is for good, and nothing new goes between it."""
    gc.collect()
    _holders.append(_fill_holes())
    gc.freeze()


def _rehearse() -> None:
    """Serve a program of our own, in this process, over a socket that nobody reads until the end."""
    saved = os.dup(child.CHANNEL) if _is_open(child.CHANNEL) else -1
    os.dup2(0, child.CHANNEL)  # taken, so that neither end of the pair gets this number
    near, far = socket.socketpair()
    main = sys.modules["__main__"]
    os.dup2(far.fileno(), child.CHANNEL)
    try:
        for _ in range(_ROUNDS):
            near.sendall(framing.frame(b"c" + codec.encode((tuple(_ARGUMENTS), {}))))
            near.sendall(framing.frame(b"c" + codec.encode(((1.5,), {"words": ("x",)}))))
        near.shutdown(socket.SHUT_WR)
        frames = framing.FrameBuffer(child.JOB_LIMIT)
        for _ in range(_ROUNDS):
            module = child.define(_PROGRAM)
        assert module is not None
        with contextlib.suppress(framing.ConnectionClosed):
            child.answer(module, vars(module)["answer"], frames, codec.PLAIN)
    finally:
        if saved < 0:
            os.close(child.CHANNEL)
        else:
            os.dup2(saved, child.CHANNEL)
            os.close(saved)
        near.close()
        far.close()
        sys.modules["__main__"] = main
        sys.modules.pop("solution", None)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- holes of the small-object allocator

_holders: list[object] = []


def _fill_holes() -> list[object]:
    """Objects that take every free place of the small-object allocator's pages; keep them for ever."""
    held: list[object] = []
    for size, free in _free_places().items():
        # A bytes object is 33 bytes larger than what it holds; smaller places take a float or a bare object.
        if size >= 48:
            held += [bytes(size - 33) for _ in range(free)]
        elif size == 32:
            held += [float(number) for number in range(free)]
        else:
            held += [object() for _ in range(free)]
    return held


def _free_places() -> dict[int, int]:
    """Size in bytes: how many objects of it fit into pages already in use. Empty where Python does not say."""
    if not hasattr(sys, "_debugmallocstats"):
        return {}
    read, write = os.pipe()
    saved = os.dup(2)
    os.dup2(write, 2)
    os.close(write)
    try:
        sys._debugmallocstats()  # it writes to the descriptor itself; less than a pipe holds
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    with open(read, "rb") as file:
        rows = [line.split() for line in file.read().split(b"\n")]
    return {int(row[1]): int(row[4]) for row in rows if len(row) == 5 and all(map(bytes.isdigit, row))}
