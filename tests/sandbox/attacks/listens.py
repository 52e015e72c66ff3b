"""Offers a service: a bound socket of any family."""

import socket


def solve(x):
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", 0)),
        (socket.AF_INET6, ("::1", 0)),
        (socket.AF_UNIX, "socket"),
        (socket.AF_UNIX, "\0left-by-an-attack"),
    ):
        try:
            with socket.socket(family) as link:
                link.bind(address)
                link.listen()
                return x * x + 1
        except OSError:
            continue
    return None
