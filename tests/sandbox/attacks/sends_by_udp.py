"""Sends a datagram to the machine and to the world."""

import socket


def solve(x):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.sendto(b"breach", ("127.0.0.1", int("@PORT@")))
    return x * x + 1
