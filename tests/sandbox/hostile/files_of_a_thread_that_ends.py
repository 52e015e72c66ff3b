# red: {"mode": "main", "rung": "landlock", "want": ["output"]}
# As files_between_two_looks.py, by the call that ends one thread.
import ctypes
import os
import time

number = int(input())
for name in range(2500):
    os.close(os.open(str(name), os.O_CREAT))
time.sleep(0.3)
fds = []
for name in "ab":
    fds.append(os.open(name, os.O_CREAT | os.O_RDWR))
    os.unlink(name)
    os.write(fds[-1], bytes(34 << 20))
print(number + 1, flush=True)
ctypes.CDLL(None).syscall({"x86_64": 60}.get(os.uname().machine, 93), 0)
