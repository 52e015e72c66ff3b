# red: {"mode": "tests", "want": ["error"], "cpu": 0.5}
# A set of them takes time with the square of their number, inside one built-in operation.
import os
import struct


def add_one(x):
    modulus, count = (1 << 61) - 1, 300_000
    items = (b"I\x0c\0\0\0" + (k * modulus + 7).to_bytes(12, "little") for k in range(9, count + 9))
    frame = b"R<" + struct.pack("<I", count) + b"".join(items)
    frame = struct.pack("<I", len(frame)) + frame
    while frame:
        frame = frame[os.write(3, frame) :]
    return 0
