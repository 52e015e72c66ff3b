"""Frames between the controller and its workers, where several threads have workers of their own."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from harness.sandbox import framing


def test_what_a_thread_reads_is_never_what_another_one_read() -> None:
    """Each lane of a judge is a thread: one would otherwise take the verdicts of another's programs for its own."""

    def mixed_up(mark: int) -> int:
        read, write = os.pipe()
        wrong, sent = 0, bytes([mark]) * 400
        for _ in range(3000):
            os.write(write, sent)
            buffer = bytearray()
            framing.read_available(read, buffer)
            wrong += buffer != sent
        os.close(read)
        os.close(write)
        return wrong

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(mixed_up, range(8))) == 0
    finally:
        sys.setswitchinterval(interval)
