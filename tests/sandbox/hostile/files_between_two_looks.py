# red: {"mode": "main", "rung": "landlock", "want": ["output"]}
# Many names make each look take long, and so the time until the next one; what is open goes with the process.
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
os._exit(0)
