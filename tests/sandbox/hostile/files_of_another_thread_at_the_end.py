# red: {"mode": "main", "rung": "landlock", "wall": 20, "want": ["output", "failed"]}
# While the last call waits and its files are looked at, another thread writes more; it goes with the process.
import os
import threading
import time

number = int(input())
for name in range(4000):
    os.close(os.open(str(name), os.O_CREAT))
fds = []
for name in "ab":
    fds.append(os.open("file " + name, os.O_CREAT | os.O_RDWR))
    os.unlink("file " + name)
    os.write(fds[-1], bytes(30 << 20))
leaving, block = threading.Event(), bytes(8 << 20)


def write():
    leaving.wait()
    time.sleep(0.003)
    os.write(fds[0], block)
    os.write(1, b"%d\n" % (number + 1))
    time.sleep(60)


threading.Thread(target=write, daemon=True).start()
time.sleep(0.3)
leaving.set()
time.sleep(0.001)
os._exit(0)
