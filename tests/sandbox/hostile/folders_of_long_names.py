# red: {"mode": "main", "rung": "landlock", "want": ["failed", "output"]}
# No path names the last of them, and none may be listed.
import os
import time

os.umask(0o477)
for _ in range(40):
    os.mkdir("m" * 250)
    os.chdir("m" * 250)
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY))
time.sleep(0.1)
print(0)
