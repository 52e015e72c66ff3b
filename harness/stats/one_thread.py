"""Loads numpy with one thread for its linear algebra.

A summary multiplies a few thousand numbers. OpenBLAS starts a thread for each processor, and each of these waits
actively: some 50 ms of CPU time for nothing, of every other processor of the machine. Not for what runs models.
"""

import os
import sys

_THREADS = "OPENBLAS_NUM_THREADS"


def load_numpy() -> None:
    """Nothing where it is loaded already. The environment is afterwards what it was."""
    if "numpy" in sys.modules or _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        __import__("numpy")
    finally:
        del os.environ[_THREADS]
