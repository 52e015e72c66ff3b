# red: {"mode": "main", "rung": "landlock", "want": ["output", "error"]}
# Several hundred megabytes that no folder lists, in a process that asks the kernel to let nobody look into it.
import ctypes
import os
import time

ctypes.CDLL(None).prctl(4, 0)
held = []
for _ in range(8):
    held.append(os.open("n", os.O_CREAT | os.O_RDWR))
    os.unlink("n")
    for _ in range(45):
        os.write(held[-1], bytes(1 << 20))
time.sleep(0.2)
print(6)
