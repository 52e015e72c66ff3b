"""Memory that forks share is joined to large pages where the kernel can."""

import os
import subprocess
import sys

import pytest

CODE = """
from harness.sandbox.isolation import huge_pages
objects = [str(n) for n in range(500_000)]
joined = huge_pages.collapse()
kib = next(int(line.split()[1]) for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages"))
assert objects == [str(n) for n in range(500_000)]
print(joined, kib // 2048)
"""


def test_a_large_heap_becomes_large_pages_and_stays_what_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    joined, found = map(int, done.stdout.split())
    if not os.path.isdir("/sys/kernel/mm/transparent_hugepage") or not joined:
        pytest.skip("this kernel cannot join pages (Linux 6.1)")
    assert joined >= found >= 5
