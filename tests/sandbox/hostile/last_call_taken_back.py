# red: {"mode": "main", "rung": "landlock", "wall": 20, "want": ["output", "failed"]}
# A timer interrupts the last call while its files are looked at; what the handler writes goes with the process.
import ctypes
import os
import signal

number = int(input())
libc = ctypes.CDLL(None)
EXIT_THREAD = {"x86_64": 60}.get(os.uname().machine, 93)


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def handler(number_of_the_signal):
    fds = []
    for name in "ab":
        fds.append(os.open("file " + name, os.O_CREAT | os.O_RDWR))
        os.unlink("file " + name)
        os.write(fds[-1], bytes(34 << 20))
    os.write(1, b"%d\n" % (number + 1))
    libc.syscall(EXIT_THREAD, 0)


for name in range(4000):
    os.close(os.open(str(name), os.O_CREAT))
libc.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.004)
os._exit(0)
