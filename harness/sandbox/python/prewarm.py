"""Does once in the zygote what every program would do first, so that its forks need not.

A fork shares the zygote's memory until one of them writes to a page, and copying that page costs more than what most
programs do themselves. So the modules that programs import are loaded, the interpreter has run code like theirs (it
specialises code that runs often, and fills caches), and the allocator has no holes left: what a fork allocates lies
together on new pages instead of being scattered over shared ones.
"""

import contextlib
import gc
import os
import socket
import sys

from harness.sandbox import framing
from harness.sandbox.python import child
from harness.sandbox.values import codec, standard_types

# Modules that programs and the standard library's own functions use most. Each module makes every fork slower, so those
# that few programs need (decimal, ctypes, tempfile ...) are left to those few.
MODULES = (
    "bisect",
    "collections",
    "copy",
    "datetime",
    "functools",
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
_ROUNDS = 24  # the interpreter specialises a function after eight calls, and undoes some of that later
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
    """Import what programs import, and run code like theirs."""
    for name in MODULES:
        __import__(name)
    _run_sample()


def freeze() -> None:
    """Call last: keeps all objects alive and in place, with no holes between them."""
    gc.collect()
    _fillers.append(_fill_holes())
    gc.freeze()


def _run_sample() -> None:
    """Serve a program of our own in this process, over a socket whose replies nobody reads."""
    saved = os.dup(child.CHANNEL) if _is_open(child.CHANNEL) else -1
    os.dup2(0, child.CHANNEL)  # occupied, so that neither end of the pair gets this number
    ours, theirs = socket.socketpair()
    main = sys.modules["__main__"]
    os.dup2(theirs.fileno(), child.CHANNEL)
    try:
        for _ in range(_ROUNDS):
            ours.sendall(framing.frame(b"c" + codec.encode((tuple(_ARGUMENTS), {}))))
            ours.sendall(framing.frame(b"c" + codec.encode(((1.5,), {"words": ("x",)}))))
        ours.shutdown(socket.SHUT_WR)
        frames = framing.FrameBuffer(child.JOB_LIMIT)
        code = compile(_PROGRAM, "program.py", "exec")
        for _ in range(_ROUNDS):
            child.define("")  # the whole program each time would spend most of the start on compiling it
            exec(code, {"__name__": "solution"})
        module = child.define(_PROGRAM)
        assert module is not None
        with contextlib.suppress(framing.ConnectionClosed):
            child.serve_requests(module, vars(module)["answer"], frames, standard_types.KINDS)
    finally:
        if saved < 0:
            os.close(child.CHANNEL)
        else:
            os.dup2(saved, child.CHANNEL)
            os.close(saved)
        ours.close()
        theirs.close()
        sys.modules["__main__"] = main
        sys.modules.pop("solution", None)


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# ---------------------------------------------------------------- holes of the small-object allocator

_fillers: list[object] = []


def _fill_holes() -> list[object]:
    """Objects that fill every free block in the small-object allocator's pages; they must stay alive."""
    fillers: list[object] = []
    for size, free in _free_blocks().items():
        # A bytes object is 33 bytes larger than its data; smaller blocks take a float or a bare object.
        if size >= 48:
            fillers += [bytes(size - 33) for _ in range(free)]
        elif size == 32:
            fillers += [float(number) for number in range(free)]
        else:
            fillers += [object() for _ in range(free)]
    return fillers


def _free_blocks() -> dict[int, int]:
    """Block size in bytes -> number of free blocks in pages already in use. Empty where Python does not report it."""
    if not hasattr(sys, "_debugmallocstats"):
        return {}
    read, write = os.pipe()
    saved = os.dup(2)
    os.dup2(write, 2)
    os.close(write)
    try:
        sys._debugmallocstats()  # writes to the descriptor directly, and less than a pipe holds
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    with open(read, "rb") as file:
        rows = [line.split() for line in file.read().split(b"\n")]
    return {int(row[1]): int(row[4]) for row in rows if len(row) == 5 and all(map(bytes.isdigit, row))}
