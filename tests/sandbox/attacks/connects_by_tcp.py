"""Connects to a server of the machine over TCP."""

import socket


def solve(x):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as link:
        link.connect(("127.0.0.1", int("@PORT@")))
    return x * x + 1
