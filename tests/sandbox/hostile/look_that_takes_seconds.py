# red: {"mode": "main", "rung": "landlock", "cpu": 6, "mem": 1024, "want": ["output"]}
# As many mappings as the kernel allows, each with a name of thousands of characters, which every look would read.
import ctypes
import os

number = int(input())
libc = ctypes.CDLL(None)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
for _ in range(14):
    os.mkdir("n" * 250)
    os.chdir("n" * 250)
fd = os.open("file", os.O_CREAT | os.O_RDWR)
os.truncate(fd, 1 << 20)
for at in range(60_000):
    libc.mmap(None, 4096, 1 + at % 2 * 2, 1, fd, at % 2 * 8192)
print(number + 1, flush=True)
os._exit(0)
