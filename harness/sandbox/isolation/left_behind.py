"""Folders that a process makes for itself and removes at its end, found again when it was killed.

Whoever makes one holds a lock on it; a lock ends with its process, whatever ends that.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

# Younger ones may just be about to be locked.
_AGE_S = 60.0


def hold(folder: str) -> int:
    """Lock a folder of one's own, until the descriptor that is returned is closed. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
    except OSError:
        os.close(fd)
        raise
    return fd


def unheld(parent: str, prefix: str) -> Iterator[str]:
    """Folders of this user whose names begin so and that nobody holds."""
    for name in os.listdir(parent):
        if not name.startswith(prefix):
            continue
        path = os.path.join(parent, name)
        with contextlib.suppress(OSError):  # somebody else's, held, or gone meanwhile
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                found = os.fstat(fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if found.st_uid == os.geteuid() and time.time() - found.st_ctime > _AGE_S:
                    yield path
            finally:
                os.close(fd)
