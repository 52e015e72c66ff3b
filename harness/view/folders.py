"""Which runs are below a folder, and whether somebody is writing one now.

Looks and never locks: a lock taken here, if only for an instant, would turn a run away that is just starting.
"""

import os
from collections.abc import Iterator
from pathlib import Path

LOCKS = Path("/proc/locks")


def run_folders(root: Path) -> Iterator[Path]:
    """Every folder with a run.json, in order; neither below a run, in hidden folders nor through links."""
    if (root / "run.json").is_file():
        yield root
        return
    try:
        with os.scandir(root) as entries:
            inside = sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            )
    except OSError:  # removed in the meantime, or not ours to read: it holds nothing to show
        return
    for name in inside:
        yield from run_folders(root / name)


def locked_inodes() -> frozenset[int] | None:
    """The inodes of the files that processes of this machine hold a lock on; None where it does not tell.

    Without the device: on an overlay it is another one in the list than in `stat`.
    """
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    # 1: FLOCK  ADVISORY  WRITE 11660 00:1e:10390 0 EOF
    return frozenset(int(line.split()[5].rpartition(":")[2]) for line in lines if "->" not in line)


def is_locked(folder: Path, locked: frozenset[int]) -> bool:
    try:
        return (folder / ".lock").stat().st_ino in locked
    except OSError:
        return False
