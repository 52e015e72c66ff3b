"""The viewer's addresses: what they answer, what they refuse, and that what a model wrote stays JSON and text."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import listening
from harness.view import child, events, pages, server
from harness.view.app import make_app
from harness.view.guard import LOOPBACK, Guard
from harness.view.run_card import RunCard
from tests.support.command import harness
from tests.support.recordings import make
from tests.view.hostile import HOSTILE

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view")
    make(folder / "base", range(20), samples=3)
    make(folder / "tuned", range(30), samples=3, wrong=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def asking(built: Path) -> "Iterator[TestClient]":
    from starlette.testclient import TestClient

    with TestClient(Guard(make_app(built), LOOPBACK), base_url="http://localhost") as client:
        yield client


def test_the_pages_hold_nothing_of_a_run_and_may_run_no_other_script(asking: "TestClient") -> None:
    for path in ("/", "/run?run=tuned", "/side?left=base&right=tuned"):
        answer = asking.get(path)
        assert answer.status_code == 200
        assert "letters" not in answer.text
        assert "script-src 'sha256-" in answer.text
        assert "connect-src 'self'" in answer.text
        assert "http://" not in answer.text
    assert pages.html("runs") == asking.get("/").text


def test_every_answer_says_what_a_browser_must_not_do_with_it(asking: "TestClient") -> None:
    for path in ("/", "/samples?run=base", "/nowhere", "/samples?run=nowhere"):
        headers = asking.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers


def test_samples_are_asked_by_number_filter_and_text(asking: "TestClient") -> None:
    page = asking.get("/samples", params={"run": "base", "start": 100, "ended": ""}).json()
    assert (page["start"], len(page["rows"]), page["total"], page["share"]) == (100, 20, 120, 1.0)
    page = asking.get("/samples", params={"run": "tuned", "ended": "wrong", "q": "onerror"}).json()
    assert len(page["rows"]) == 30
    sample = asking.get("/sample", params={"run": "tuned", "at": page["rows"][0]["at"]})
    assert sample.headers["content-type"] == "application/json"
    assert dict(sample.json()["parts"])["Answer"] == HOSTILE
    pairs = asking.get("/pairs", params={"left": "base", "right": "tuned", "show": "right"}).json()
    assert pairs["counts"]["right"] == len(pairs["rows"]) == 30


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/samples?run=nowhere", 404),
        ("/samples", 404),
        ("/samples?run=../base", 404),
        ("/samples?run=base/../base", 404),
        ("/samples?run=base&start=x", 400),
        ("/samples?run=base&start=1e3", 400),
        ("/samples?run=base&start=99999999999999999999", 400),
        ("/sample?run=base&at=3", 404),
        ("/sample?run=base&at=-1", 400),
        ("/samples?run=base&start=--5", 400),
        ("/samples?run=base&start=" + "9" * 5000, 400),
        ("/samples?run=base&start=\u0663", 400),
        ("/pairs?left=base&right=nowhere", 404),
        ("/pairs?left=base&right=tuned&show=1 OR 1", 400),
        ("/state?run=nowhere", 404),
        ("/report", 400),
        ("/report?run=nowhere", 404),
        ("/compare?run=base&run=--help", 404),
        ("/nowhere", 404),
    ],
)
def test_what_is_not_there_is_refused(asking: "TestClient", path: str, status: int) -> None:
    assert asking.get(path).status_code == status


def test_a_foreign_request_reads_nothing(asking: "TestClient") -> None:
    assert asking.get("/samples?run=base", headers={"host": "evil.example"}).status_code == 403
    assert asking.get("/samples?run=base", headers={"origin": "http://evil.example"}).status_code == 403
    assert asking.post("/samples?run=base").status_code == 405


def test_report_and_compare_are_what_the_commands_make(
    asking: "TestClient", built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def fake(command: str, folders: list[Path], *options: str) -> child.ChildEnd:
        asked.append((command, folders))
        if "--out" in options:
            Path(options[1]).write_text("<!doctype html>a report", encoding="utf-8")
        return child.ChildEnd(0, f"em@1 <b>{HOSTILE}", "")

    monkeypatch.setattr(child, "run_harness", fake)
    answer = asking.get("/report?run=base&run=tuned&run=base")
    assert (answer.status_code, answer.text) == (200, "<!doctype html>a report")
    answer = asking.get("/compare?run=base&run=tuned")
    assert "em@1 &lt;b&gt;&lt;/script&gt;&lt;script&gt;" in answer.text
    assert asked == [(name, [built / "base", built / "tuned"]) for name in ("report", "compare")]


def test_what_a_command_complains_of_is_shown(built: Path) -> None:
    ended = asyncio.run(child.run_harness("compare", [built / "nowhere"]))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: no run folder ")
    assert ended.err.count("\n") == 1


# ---------------------------------------------------------------- events


def gather(stream: Any, n: int) -> list[Any]:
    async def first() -> list[Any]:
        found = []
        async for text in stream:
            assert text.endswith("\n\n")
            assert text.isascii()
            found.append(json.loads(text.removeprefix("data: ")) if text.startswith("data: ") else text)
            if len(found) == n:
                break
        return found

    return asyncio.run(first())


def test_only_what_has_changed_is_sent_again() -> None:
    def card(run: str, done: int = 0) -> RunCard:
        return RunCard(run, run, "running", done=done)

    looks = iter(
        [[], [card("a"), card("b")], [card("a"), card("b")], [card("a", 1), card("b")], [card("a", 1)]]
    )
    sent = gather(events.cards(lambda: next(looks), "here", interval=0.0), 4)
    assert [one.get("root") for one in sent] == ["here", None, None, None]
    told = [([(each["run"], each["done"]) for each in one["runs"]], one["gone"]) for one in sent]
    assert told == [([], []), ([("a", 0), ("b", 0)], []), ([("a", 1)], []), ([], ["b"])]


def test_a_stream_without_news_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_S", 0.002)
    sent = gather(events.states(lambda: {"done": 1}, interval=0.001), 3)
    assert sent == [{"done": 1}, ": still here\n\n", ": still here\n\n"]


def test_a_message_is_ascii_and_one_line_whatever_a_model_wrote() -> None:
    assert events.message({"text": "\ud83d\u2028\n\n"}) == 'data: {"text":"\\ud83d\\u2028\\n\\n"}\n\n'


# ---------------------------------------------------------------- the command


def test_the_command_listens_on_this_machine_and_elsewhere_only_with_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[server.Address] = []
    monkeypatch.setattr(server, "serve", lambda folder, address, started: asked.append(address))
    for arguments in ((), ("--token",), ("--host", "0.0.0.0"), ("--host", "localhost"), ("--host", "::1")):
        assert harness("view", tmp_path, *arguments).code == 0
    assert [bool(address.token) for address in asked] == [False, True, True, False, False]
    assert asked[1].token != asked[2].token
    assert len(asked[1].token) == 32


def test_a_file_and_a_port_that_is_taken_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "give a folder that holds runs" in harness("view", tmp_path / "file").complaint
    with listening.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert "Address already in use; --port 0" in harness("view", tmp_path, "--port", port).complaint


def test_without_its_extra_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert "pip install 'codelm-harness[web]'" in harness("view", tmp_path).complaint
