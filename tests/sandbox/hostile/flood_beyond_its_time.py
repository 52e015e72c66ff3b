# red: {"mode": "warm", "want": ["failed", "error", "timeout", "output"], "cpu": 1}
# With the requests sent ahead: when its time is over, replies without end.
import os
import threading
import time


def flood():
    replies = b"\2\0\0\0RN" * 30000
    while True:
        os.write(3, replies)


def add_one(x):
    end = time.process_time() + 0.95
    while time.process_time() < end:
        pass
    for _ in range(6):
        threading.Thread(target=flood).start()
    flood()
