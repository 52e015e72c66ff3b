# red: {"mode": "tests", "want": ["error"], "cpu": 0.5}
# Reducing it takes the one who decodes it hours.
import os
import struct


def add_one(x):
    size = 5 << 20
    parts = b"".join(b"I" + struct.pack("<I", size) + os.urandom(size - 1) + b"\x3f" for _ in range(2))
    frame = b"Ry" + parts
    frame = struct.pack("<I", len(frame)) + frame
    while frame:
        frame = frame[os.write(3, frame) :]
    return 0
