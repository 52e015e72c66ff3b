# red: {"mode": "main", "want": ["error"], "cpu": 1}
# Claims not to compile, for a reason that takes hours to read.
import os
import struct

size = 4 << 20
parts = b"".join(b"I" + struct.pack("<I", size) + os.urandom(size - 1) + b"\x3f" for _ in range(2))
frame = b"Cy" + parts
frame = struct.pack("<I", len(frame)) + frame
while frame:
    frame = frame[os.write(3, frame) :]
os._exit(1)
