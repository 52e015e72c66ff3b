"""Scratch folders that are not mounts of their own: how much is in them, and emptying them.

Programs write there what they like: folders a thousand deep, names without end, folders without rights, files without
names, and they change them while somebody looks. So nothing here recurses, follows a link or uses a path of more than
one name; what vanishes or changes its kind meanwhile is left out.
"""

import itertools
import os
import stat
import time
from collections.abc import Sequence

# Deeper folders count as too many files.
MAX_DEPTH = 48
# CPU seconds that one look may take: what an honest program has takes a hundredth of it. And after how many lines of
# mappings they are looked up.
LOOK_S, _LINES = 0.5, 256
_PATIENCE = 100
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LookTooLong(Exception):
    """There is more to look at than a program needs."""


class _LookBudget:
    def __init__(self) -> None:
        self.until = time.process_time() + LOOK_S

    def check(self) -> None:
        """Raises LookTooLong."""
        if time.process_time() > self.until:
            raise LookTooLong


def exceeds(folder: str, megabytes: int, files: int, pids: Sequence[int] = (), file_mb: int = 0) -> bool:
    """Whether there is more in the folder than that. `pids`: of the processes whose unnamed files count as well.
    `file_mb`: the most that one file holds (0: all of it). Raises LookTooLong.
    """
    budget = _LookBudget()
    size, count = _unnamed_bytes(folder, pids, (file_mb or megabytes) << 20, budget), 0
    if size > megabytes << 20:
        return True
    levels: list[tuple[int, list[str]]] = []
    try:
        levels.append(_list(os.open(folder, _FOLDER), files + 1))
        while levels:
            fd, names = levels[-1]
            if not names:
                os.close(levels.pop()[0])
                budget.check()
                continue
            name = names.pop()
            count += 1
            kind = _stat(fd, name)
            if kind is None:
                continue
            size += kind.st_blocks << 9
            if count > files or size > megabytes << 20 or len(levels) > MAX_DEPTH:
                return True
            if stat.S_ISDIR(kind.st_mode) and (inner := _open_folder(fd, name)) >= 0:
                levels.append(_list(inner, files + 1))
    finally:
        for fd, _ in levels:
            os.close(fd)
    return False


def _list(fd: int, most: int) -> tuple[int, list[str]]:
    """A folder may have more names than anybody should read."""
    with os.scandir(fd) as entries:
        return fd, [entry.name for entry in itertools.islice(entries, most)]


def _stat(fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None  # removed meanwhile


def _open_folder(fd: int, name: str) -> int:
    """Open it whatever rights it was created with; -1 where it is no folder any more."""
    try:
        return os.open(name, _FOLDER, dir_fd=fd)
    except PermissionError:
        _give_rights(fd, name)
    except OSError:
        return -1
    try:
        return os.open(name, _FOLDER, dir_fd=fd)
    except OSError:
        return -1


def _give_rights(fd: int, name: str) -> None:
    """Through a descriptor, because the name may be a link to somewhere else by now."""
    try:
        inner = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        return
    try:
        os.chmod(f"/proc/self/fd/{inner}", 0o700)
    except OSError:
        return  # somebody else's, or without a /proc: it stays closed
    finally:
        os.close(inner)


def _unnamed_bytes(folder: str, pids: Sequence[int], file_bytes: int, budget: _LookBudget) -> int:
    """What the processes have in files that no folder lists, as far as that can be seen. One that is mapped and not
    open counts `file_bytes`: its size is shown to root only.
    """
    places = [_shown(pid) for pid in pids]
    mapped, sizes = _mapped(folder, places, budget), _open(places, budget)
    if unseen := mapped - {inode for _, inode in sizes}:
        unseen &= _mapped(folder, places, budget)  # not those that were closed, then unmapped meanwhile
    return sum(sizes.values()) + len(unseen) * file_bytes


def _shown(pid: int) -> str:
    """Where /proc shows what the process has: at its first thread, or at another where that has ended."""
    first = f"/proc/{pid}"
    if not _names(f"{first}/fd"):
        for thread in _names(f"{first}/task"):
            if _names(f"{first}/task/{thread}/fd"):
                return f"{first}/task/{thread}"
    return first


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []  # it has ended, or cannot be seen


def _open(places: Sequence[str], budget: _LookBudget) -> dict[tuple[int, int], int]:
    """Sizes of the files without a name that the processes have open, by device and inode."""
    sizes: dict[tuple[int, int], int] = {}
    for place in places:
        budget.check()
        for name in _names(f"{place}/fd"):
            try:
                kind = os.stat(f"{place}/fd/{name}")
            except OSError:
                continue  # closed meanwhile
            if stat.S_ISREG(kind.st_mode) and not kind.st_nlink:
                sizes[kind.st_dev, kind.st_ino] = kind.st_blocks << 9
    return sizes


def _mapped(folder: str, places: Sequence[str], budget: _LookBudget) -> set[int]:
    """Inodes of the removed files of the folder that the processes have mapped."""
    below, inodes = os.fsencode(os.path.realpath(folder)) + b"/", set()
    for place in places:
        try:
            with open(f"{place}/maps", "rb") as lines:
                for number, line in enumerate(lines):  # one at a time: there may be many, and long ones
                    if not number % _LINES:
                        budget.check()
                    if line.endswith(b" (deleted)\n") and below in line:
                        fields = line.split(maxsplit=5)
                        if fields[5].startswith(below):
                            inodes.add(int(fields[4]))
        except OSError:
            continue  # it ended meanwhile
    return inodes


def threads(pid: int) -> int:
    """How many a process has; 0 where that cannot be seen."""
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink - 2
    except OSError:
        return 0


def empty(folder: str) -> None:
    """Remove everything in the folder. No process may use it any more.

    The folders inside a folder are first moved up to the top, so that depth costs neither stack nor descriptors.
    """
    if not os.listdir(folder):
        return
    top = os.open(folder, _FOLDER)
    try:
        prefix, moved = os.urandom(8).hex(), 0
        while names := os.listdir(top):
            for name in names:
                kind = _stat(top, name)
                if kind is None or not stat.S_ISDIR(kind.st_mode):
                    os.unlink(name, dir_fd=top)
                    continue
                _give_rights(top, name)
                inner = os.open(name, _FOLDER, dir_fd=top)
                try:
                    moved = _flatten(inner, top, prefix, moved)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)


def _flatten(folder: int, top: int, prefix: str, moved: int) -> int:
    """Remove the folder's files and move its folders to the top; returns how many have been moved so far."""
    for name in os.listdir(folder):
        kind = _stat(folder, name)
        if kind is not None and stat.S_ISDIR(kind.st_mode):
            _give_rights(folder, name)  # moving a folder takes the right to write into it
            moved += 1
            os.rename(name, f"{prefix}-{moved}", src_dir_fd=folder, dst_dir_fd=top)
        else:
            os.unlink(name, dir_fd=folder)
    return moved


def empty_after_end(folder: str) -> None:
    """The same after the end of a worker, which may have removed the folder, or whose last program is still dying."""
    for _ in range(_PATIENCE):
        try:
            return empty(folder)
        except FileNotFoundError:
            return None
        except OSError:
            time.sleep(0.02)
    return None
