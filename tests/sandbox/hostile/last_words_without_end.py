# red: {"mode": "main", "want": ["error"]}
# A frame of its own that is longer than any.
import os
import struct

os.write(3, struct.pack("<I", 1 << 30) + b"E" * 1000)
os._exit(1)
