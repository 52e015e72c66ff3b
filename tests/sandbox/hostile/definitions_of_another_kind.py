# red: {"mode": "tests", "want": ["error"], "test": "assert add_one(abs) is None\n", "good": "def add_one(x):\n    return None\n", "bad": "def add_one(x):\n    return x(-1)\n"}  # noqa: E501
# Tests in its own process: before they are sent, it says of its definitions what no definition is.
import os
import struct

frame = b"Dk" + struct.pack("<I", 1) + b"[" + bytes(4) + b"T"
os.write(3, struct.pack("<I", len(frame)) + frame)
