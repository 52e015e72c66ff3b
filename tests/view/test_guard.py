"""Who the viewer answers: its own pages at its own address; no other site, no other name, nobody without the token."""

import pytest

from harness.view.guard import LOOPBACK, Guard, refusal

HERE = {"host": "127.0.0.1:8765"}
OWN = {**HERE, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
LINK = {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/cards", HERE),  # curl
        ("/cards", OWN),
        ("/samples", {**OWN, "origin": "http://127.0.0.1:8765"}),
        ("/", {"host": "localhost:9000"}),  # a tunnel
        ("/", {"host": "[::1]:8765"}),
        ("/report", {**HERE, "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),  # typed in
        ("/run", LINK),  # from a chat: the page itself holds nothing
    ],
)
def test_its_own_requests_are_answered(path: str, headers: dict[str, str]) -> None:
    assert refusal("GET", path, headers, LOOPBACK) is None


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/cards", {"host": "evil.example:8765"}),  # DNS rebinding
        ("/cards", {"host": "127.0.0.1.evil.example"}),
        ("/cards", {"host": ""}),
        ("/cards", {}),
        ("/cards", {"host": "[::1"}),
        ("/samples", {**HERE, "origin": "http://evil.example"}),
        ("/samples", {**HERE, "origin": "null"}),
        ("/samples", {**HERE, "origin": "http://127.0.0.1:9999"}),
        ("/samples", {**OWN, "sec-fetch-site": "cross-site"}),
        ("/samples", {**OWN, "sec-fetch-site": "same-site"}),  # another port of this machine
        ("/report", LINK),  # it would start a process
        ("/compare", LINK),
        ("/run", {**LINK, "sec-fetch-dest": "iframe"}),
    ],
)
def test_requests_of_others_are_refused(path: str, headers: dict[str, str]) -> None:
    refused = refusal("GET", path, headers, LOOPBACK)
    assert refused is not None
    assert refused[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(method: str) -> None:
    assert refusal(method, "/cards", OWN, LOOPBACK) == (405, "Nothing can be changed here.")


def test_the_token_is_the_first_part_of_the_path() -> None:
    guard = Guard(app=None, token="secret")  # type: ignore[arg-type]

    def inner(path: str) -> str | None:
        found = guard._inner({"path": path})
        return found and found["path"]

    assert inner("/secret/") == "/"
    assert inner("/secret/run") == "/run"
    assert inner("/secret/a/b") == "/a/b"
    for wrong in ("/", "", "/run", "/secre/run", "/secrets/run", "//secret/run", "/sécret/"):
        assert inner(wrong) is None
