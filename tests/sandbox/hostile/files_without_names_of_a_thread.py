# red: {"mode": "main", "rung": "landlock", "want": ["output", "error"]}
# Several hundred megabytes that no folder lists, in a thread that goes on after the first one has ended.
import ctypes
import os
import threading
import time


def fill():
    time.sleep(0.05)
    held = []
    for _ in range(8):
        held.append(os.open("n", os.O_CREAT | os.O_RDWR))
        os.unlink("n")
        for _ in range(45):
            os.write(held[-1], bytes(1 << 20))
    time.sleep(0.3)
    os.write(1, b"6\n")
    ctypes.CDLL(None).syscall(231, 0)


threading.Thread(target=fill).start()
ctypes.CDLL(None).syscall(60, 0)
