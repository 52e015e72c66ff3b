# red: {"mode": "main", "rung": "landlock", "want": ["output", "error"]}
# Several hundred megabytes in files that no folder lists and that are not open either.
import ctypes
import os
import time

libc = ctypes.CDLL(None)
for _ in range(8):
    held = os.open("n", os.O_CREAT | os.O_RDWR)
    os.unlink("n")
    for _ in range(45):
        os.write(held, bytes(1 << 20))
    libc.mmap(None, 4096, 1, 1, held, 0)
    os.close(held)
time.sleep(0.2)
print(6)
