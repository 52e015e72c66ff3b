"""The viewer's addresses: what they answer, what they refuse, and that what a model wrote stays JSON and text."""

import asyncio
import html
import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import listening
from harness.listening.connections import GuardedConnection
from harness.view import child, events, pages, samples, server
from harness.view.app import make_app
from harness.view.guard import LOOPBACK, Guard
from harness.view.run_card import RunCard
from harness.view.watcher import Watcher
from tests.support.command import harness
from tests.support.recordings import edit_rows, make
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
        assert "connect-src 'self'" in html.unescape(answer.text)
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

    async def fake(command: str, folders: list[Path], *options: str, unwanted: Any) -> child.ChildEnd:
        assert not await unwanted()
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


async def wanted() -> bool:
    return False


def test_what_a_command_complains_of_is_shown(built: Path) -> None:
    ended = asyncio.run(child.run_harness("compare", [built / "nowhere"], unwanted=wanted))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: no run folder ")
    assert ended.err.count("\n") == 1


def test_a_command_that_nobody_waits_for_is_ended(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes = []
    begin = asyncio.create_subprocess_exec

    async def noted(*arguments: str, **how: Any) -> asyncio.subprocess.Process:
        processes.append(await begin(sys.executable, "-c", "import time; time.sleep(60)", **how))
        return processes[-1]

    async def unwanted() -> bool:
        return True

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    ended = asyncio.run(child.run_harness("report", [built / "base"], unwanted=unwanted))
    assert (ended.code, ended.err) == (None, "nobody waits for it any more")
    assert processes[0].returncode == -9


def test_a_run_that_is_removed_or_unreadable_is_said_in_one_line(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starlette.testclient import TestClient

    folder = make(tmp_path / "a", range(3))
    with TestClient(make_app(tmp_path), base_url="http://localhost") as client:
        at = client.get("/samples?run=a").json()["rows"][0]["at"]
        (folder / "generations.jsonl").rename(tmp_path / "elsewhere")
        (folder / "generations.jsonl").mkdir()  # what cannot be read; for root everything else can
        assert client.get("/samples?run=a").status_code == 404
        (folder / "generations.jsonl").rmdir()
        monkeypatch.setattr(
            samples, "line_at", lambda *_: (tmp_path / "gone" / "generations.jsonl").read_bytes()
        )
        (tmp_path / "elsewhere").rename(folder / "generations.jsonl")
        answer = client.get(f"/sample?run=a&at={at}")
        assert (answer.status_code, answer.text) == (
            404, "generations.jsonl cannot be read: No such file or directory"
        )  # fmt: skip
        monkeypatch.undo()
        edit_rows(
            folder / "generations.jsonl",
            lambda found: [{**found[0], "completion": {"completion_tokens": "7"}}],
        )
        answer = client.get("/sample?run=a&at=0")
        assert (answer.status_code, answer.text[:44]) == (422, "This sample's rows hold what they should not")
        shutil.rmtree(folder)
        assert client.get("/samples?run=a").status_code == 404


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
    sent = gather(events.cards(lambda: next(looks), "here", lambda: False, interval=0.0), 4)
    assert [one.get("root") for one in sent] == ["here", None, None, None]
    told = [([(each["run"], each["done"]) for each in one["runs"]], one["gone"]) for one in sent]
    assert told == [([], []), ([("a", 0), ("b", 0)], []), ([("a", 1)], []), ([], ["b"])]


def test_a_stream_without_news_is_kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "SILENCE_S", 0.002)
    sent = gather(events.states(lambda: {"done": 1}, lambda: False, interval=0.001), 3)
    assert gather(events.states(lambda: {"done": 1}, lambda: True), 1) == []  # the server ends
    assert sent == [{"done": 1}, ": still here\n\n", ": still here\n\n"]


def test_a_message_is_ascii_and_one_line_whatever_a_model_wrote() -> None:
    assert events.message({"text": "\ud83d\u2028\n\n"}) == 'data: {"text":"\\ud83d\\u2028\\n\\n"}\n\n'


# ---------------------------------------------------------------- the command


def test_the_command_listens_on_this_machine_and_elsewhere_only_with_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[server.Address] = []
    monkeypatch.setattr(server, "serve", lambda folder, name, address, started: asked.append(address))
    for arguments in ((), ("--token",), ("--host", "0.0.0.0"), ("--host", "localhost"), ("--host", "::1")):
        assert harness("view", tmp_path, *arguments).code == 0
    assert [bool(address.token) for address in asked] == [False, True, True, False, False]
    assert asked[1].token != asked[2].token
    assert len(asked[1].token) == 32


def test_heads_of_requests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In size and time, as those of the judge's service."""
    import uvicorn

    used: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: used.append(self.config))
    server.serve(tmp_path, "runs", server.Address(port=0), lambda _: None)
    assert (used[0].http, used[0].limit_concurrency) == (GuardedConnection, 256)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2"])
def test_the_server_answers_whom_it_should_and_ends_while_pages_are_open(built: Path, host: str) -> None:
    """Opened wider, who has the token may ask under any name; without it nobody may. Nothing is complained of."""
    import httpx

    command = [sys.executable, "-m", "harness", "view", str(built), "--port", "0", "--host", host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        found = re.search(r"http://[^:/]+:(\d+)(/\S*)", running.stdout.readline())
        assert found is not None
        base = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{found[1]}"
        assert len(found[2]) == (34 if host == "0.0.0.0" else 1)
        with httpx.Client(base_url=base, timeout=20, trust_env=False) as client:
            assert client.get(f"{found[2]}samples?run=base").json()["total"] == 120
            wrong = client.get("/samples?run=base", headers={"host": "evil.example"})
            assert wrong.status_code == 403
            named = client.get(f"{found[2]}samples?run=base", headers={"host": "machine.example"})
            assert named.status_code == (200 if host == "0.0.0.0" else 403)
            with client.stream("GET", f"{found[2]}cards") as stream:
                lines = stream.iter_lines()  # closed with the last reference to it, and the connection too
                assert next(lines).startswith('data: {"runs":[{')
                running.send_signal(signal.SIGINT)
                _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (0, "")


def test_runs_at_a_url_are_watched_in_a_copy_under_their_own_name(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def fake(folder: Path, name: str, address: server.Address, started: Any) -> None:
        seen.extend([name, [card.run for card in Watcher(folder).look()], folder])
        started("http://here/")

    monkeypatch.setattr(server, "serve", fake)
    ended = harness("view", f"local://{built}")
    assert (ended.code, ended.out) == (0, f"watching local://{built}: http://here/ (Ctrl-C ends it)\n")
    assert seen[:2] == [f"local://{built}", ["base", "tuned"]]
    assert not seen[2].exists()
    assert harness("view", f"file://{built}").code == 0
    assert seen[5] == built
    assert "is a file" in harness("view", f"local://{built}/base/run.json").complaint


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
