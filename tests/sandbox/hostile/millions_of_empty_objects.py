# red: {"mode": "tests", "want": ["error"]}
# Five bytes each here, hundreds there.
import os
import struct


def add_one(x):
    count = 3_000_000
    frame = b"R[" + struct.pack("<I", count) + (b"d" + bytes(4)) * count
    frame = struct.pack("<I", len(frame)) + frame
    while frame:
        frame = frame[os.write(3, frame) :]
    return 0
