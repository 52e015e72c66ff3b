# red: {"mode": "main", "want": ["failed"]}
# Right only if it can watch folders, lock what others see, take the machine's I/O contexts, or direct signals.
import ctypes
import fcntl
import os

libc = ctypes.CDLL(None)
got = [libc.inotify_init() >= 0, libc.inotify_init1(0) >= 0]
context = ctypes.c_ulong(0)
got.append(libc.syscall(206, 8, ctypes.byref(context)) >= 0)
library = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
for attempt in (
    lambda: fcntl.flock(library, fcntl.LOCK_SH),
    lambda: fcntl.fcntl(library, fcntl.F_NOTIFY, fcntl.DN_ACCESS),
    lambda: fcntl.fcntl(library, fcntl.F_SETOWN, os.getppid()),
    lambda: fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20),
):
    try:
        attempt()
        got.append(True)
    except OSError:
        got.append(False)
print(int(input()) + any(got))
