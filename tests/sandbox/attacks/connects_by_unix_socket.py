"""Connects to a server's socket file."""

import socket


def solve(x):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.connect("@UNIX@")
    return x * x + 1
