"""Connects to a server's socket that has no file."""

import socket


def solve(x):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.connect("\0@ABSTRACT@")
    return x * x + 1
