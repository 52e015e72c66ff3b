# red: {"mode": "main", "rung": "landlock", "want": ["failed", "error", "timeout", "output"], "cpu": 1}
# Names that are folders and files by turns.
import os
import time

end = time.process_time() + 0.7
while time.process_time() < end:
    for name in "pqrst":
        os.mkdir(name)
        os.rmdir(name)
        os.symlink("/", name)
        os.unlink(name)
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0))
        os.unlink(name)
print(0)
