# red: {"mode": "tests", "rung": "landlock", "want": ["output"]}
# As files_between_two_looks.py, in answer to the tests' last question.
import os
import time

for name in range(2500):
    os.close(os.open(str(name), os.O_CREAT))
time.sleep(0.3)
fds = []


def add_one(x):
    if x == 987654:
        for name in "ab":
            fds.append(os.open(name, os.O_CREAT | os.O_RDWR))
            os.unlink(name)
            os.write(fds[-1], bytes(34 << 20))
    return x + 1
