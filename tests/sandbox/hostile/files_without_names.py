# red: {"mode": "main", "rung": "landlock", "want": ["output", "error"]}
# Several hundred megabytes that no folder lists.
import os
import time

held = []
for _ in range(8):
    held.append(os.open("n", os.O_CREAT | os.O_RDWR))
    os.unlink("n")
    for _ in range(45):
        os.write(held[-1], bytes(1 << 20))
time.sleep(0.2)
print(6)
