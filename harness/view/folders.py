"""Which runs are below a folder, and whether somebody is writing one now.

Looks and never locks: a lock taken here, if only for an instant, would turn a run away that is just starting.
"""

import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
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


def foreign_file(folder: Path, root: Path, names: Iterable[str]) -> str:
    """Which of a run's files is no file (a pipe would be waited for) or a link that leads out of `root`; else empty."""
    for name in names:
        path = folder / name
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        inside = stat.S_ISREG(mode) or (path.is_file() and path.resolve().is_relative_to(root.resolve()))
        if not inside:
            return f"{name} is no file, or a link that leads out of the folder which is watched"
    return ""


def locked_files() -> dict[int, set[int]]:
    """Inode -> devices of the files that processes of this machine hold a lock on; empty where it does not tell."""
    try:
        lines = LOCKS.read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    found: dict[int, set[int]] = {}
    for line in lines:  # 1: FLOCK  ADVISORY  WRITE 11660 00:1e:10390 0 EOF
        if "->" not in line:  # which waits for one
            major, minor, inode = line.split()[5].split(":")
            found.setdefault(int(inode), set()).add(os.makedev(int(major, 16), int(minor, 16)))
    return found


def is_locked(folder: Path, locked: Mapping[int, Collection[int]], surely: bool) -> bool:
    """Whether somebody writes the run. Some file systems give files another device than the list of locks has: with
    `surely` the inode alone is not enough, for any other file may have it."""
    try:
        status = (folder / ".lock").stat()
    except OSError:
        return False
    devices = locked.get(status.st_ino, ())
    return status.st_dev in devices if surely else bool(devices)
