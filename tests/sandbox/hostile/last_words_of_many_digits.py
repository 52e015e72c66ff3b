# red: {"mode": "main", "want": ["error"]}
# Says that it exits, with an integer that cannot be written in decimals.
import os
import struct

frame = b"EI" + struct.pack("<I", 9000) + b"\x7e" * 9000
os.write(3, struct.pack("<I", len(frame)) + frame)
os._exit(1)
