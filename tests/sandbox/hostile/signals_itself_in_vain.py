# red: {"mode": "tests", "want": ["signal"]}
# As process 1 of its namespace it would live on.
import os
import signal


def add_one(x):
    os.kill(os.getpid(), signal.SIGHUP)
    signal.raise_signal(signal.SIGKILL)
    return x + 1
