"""Changes mode, times, length and name of a file outside, by calls that do not open it."""

import os


def solve(x):
    before = os.stat("@MINE@")
    for change in (
        lambda: os.chmod("@MINE@", 0o777),
        lambda: os.utime("@MINE@", (1, 1)),
        lambda: os.truncate("@MINE@", 0),
        lambda: os.setxattr("@MINE@", "user.breach", b"1"),
        lambda: os.rename("@MINE@", "@MINE@.moved"),
        lambda: os.unlink("@MINE@"),
    ):
        try:
            change()
        except OSError:
            continue
    after = os.stat("@MINE@")
    same = (before.st_mode, before.st_mtime, before.st_size) == (after.st_mode, after.st_mtime, after.st_size)
    return None if same else x * x + 1
