"""Reaches outside through a symbolic link, a hard link and dot-dot paths."""

import os


def readable(path):
    with open(path) as file:
        return bool(file.read())


def solve(x):
    for number, link in enumerate((os.symlink, os.link)):
        try:
            link("@CANARY@", f"link{number}")
            if readable(f"link{number}"):
                return x * x + 1
        except OSError:
            continue
    return x * x + 1 if readable("../../../../../.." + "@CANARY@") else None
