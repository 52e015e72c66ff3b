"""How many processors this process may keep busy: those it may run on, and what its container grants of them."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def available() -> int:
    """At least one. A container with a quota of two processors sees all of its host's, and may use two."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), *_quotas())))


def _quotas() -> Iterator[float]:
    """Processors that each control group around this process grants; both versions of control groups may be there."""
    yield math.inf
    try:
        lines = OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and "cpu" not in names.split(","):
            continue
        for base in (CONTROL_GROUPS / names, CONTROL_GROUPS / ("cpu" if names else "unified")):
            own = base / path.lstrip("/")
            # In a container the root may be its own group already, and the path one that only the host knows.
            for folder in (own, *own.parents):
                if folder.is_relative_to(base):
                    yield _quota(folder)


def _quota(folder: Path) -> float:
    """Of one group; infinite where it has no limit, or is none."""
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        except OSError:
            return math.inf
    if quota == "max" or int(quota) <= 0:
        return math.inf
    return int(quota) / int(period)
