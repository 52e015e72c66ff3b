# red: {"mode": "tests", "want": ["error"]}
# An exception whose bases are no names.
import os
import struct


def add_one(x):
    frame = b"X(\3\0\0\0(\1\0\0\0[\0\0\0\0b\1\0\0\0zs\1\0\0\0y"
    os.write(3, struct.pack("<I", len(frame)) + frame)
    return 0
