"""Takes space for a file without writing it, faster than anybody looks and beyond the largest file: by ioctl."""

import fcntl
import os
import struct

RESERVE, RESERVE_64, ZERO = 0x40305828, 0x4030582A, 0x40305839
SIZE = 1 << 30


def solve(x):
    fd = os.open("large", os.O_CREAT | os.O_RDWR)
    os.unlink("large")
    for request in (RESERVE, RESERVE_64, ZERO):
        try:
            fcntl.ioctl(fd, request, struct.pack("hhqqiI16x", 0, 0, 0, SIZE, 0, 0))
        except OSError:
            continue
        if os.fstat(fd).st_blocks << 9 >= SIZE:
            os.ftruncate(fd, 0)
            return x * x + 1
    return None
