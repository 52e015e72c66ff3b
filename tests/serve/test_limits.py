"""Who is refused, and what keeps a service small: tokens, bodies, slow clients, floods."""

import asyncio
import importlib
import json
import math
import os
import pkgutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
from starlette.responses import Response

from harness import scorers, tasks
from harness.listening import connections
from harness.runs.services import wire
from harness.schema import DatabaseFile, Limits, Program
from harness.serve import app, messages, server
from harness.serve.admission import ServiceLimits
from tests.support import judge_service
from tests.support.command import harness, mini_humaneval, until
from tests.support.judge_service import TOKEN, Served, in_a_thread

ROW = mini_humaneval()[0]
SAMPLE = {"problem": ROW["task_id"], "completion": ROW["canonical_solution"], "form": "continuation"}
ENDLESS = {**SAMPLE, "completion": "    while True: pass\n"}
HASTY = {"workers": 1, "time_limit": 0.5}
PAIR = {"sql": "SELECT 1", "gold": "SELECT 1", "databases": ["12"]}
CHECK = {"kind": "unit_tests", "code": "", "entry_point": "f"}
LIMITS = ServiceLimits(body_mb=1.0, read_s=0.5, request_s=20.0, queue=40, requests=4)


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    with in_a_thread("humaneval", limits=LIMITS, judge=HASTY) as found:
        found.post("/v1/verdicts", samples=[SAMPLE])  # the sandbox is up
        yield found


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}]
)
@pytest.mark.parametrize("path", ["/v1/verdicts", "/v1/programs", "/run_code", "/v1/tasks", "/metrics"])
def test_a_bad_token_opens_nothing(small: Served, header: dict[str, str], path: str) -> None:
    method = "GET" if path in ("/v1/tasks", "/metrics") else "POST"
    answer = httpx2.request(method, small.url + path, headers=header, json={"samples": [SAMPLE]})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert small.service.admission.bytes == 0


def test_a_token_is_needed_where_the_network_can_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_JUDGE_TOKEN", raising=False)
    assert harness("serve", "--host", "0.0.0.0").complaint == (
        "--host 0.0.0.0 is open to the network: set HARNESS_JUDGE_TOKEN to a token that clients have to send"
    )
    monkeypatch.setenv("HARNESS_JUDGE_TOKEN", "short")
    assert "8 or more printable ASCII characters" in harness("serve").complaint


def test_what_a_page_in_a_browser_can_send_is_refused(small: Served) -> None:
    body = json.dumps({"samples": [SAMPLE]})
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = small.client.post("/v1/verdicts", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 415


def test_without_a_token_only_a_name_of_this_machine_is_answered() -> None:
    """A page in a browser could give its own name the address 127.0.0.1 and would then be of the same origin."""
    with in_a_thread(token="") as local:
        assert httpx2.get(f"{local.url}/v1/tasks").json() == {"tasks": []}
        port = local.url.rpartition(":")[2]
        for host, status in (("localhost", 200), (f"[::1]:{port}", 200), ("rebound.example", 403)):
            assert httpx2.get(f"{local.url}/v1/tasks", headers={"Host": host}).status_code == status


def pieces(count: int) -> Iterator[bytes]:
    yield b'{"samples": ["'
    for _ in range(count):
        yield b"x" * 65536


def test_a_huge_body_is_refused_before_it_is_there(small: Served) -> None:
    """By its declared length, and where none is declared once it is over the limit."""
    kind = {"Content-Type": "application/json"}
    declared = small.client.post("/v1/verdicts", content=b"x" * (2 << 20), headers=kind)
    assert (declared.status_code, declared.headers["connection"]) == (413, "close")
    try:
        undeclared = small.client.post("/v1/verdicts", content=pieces(10_000), headers=kind).status_code
    except httpx2.TransportError:  # it went on sending after the answer
        undeclared = 413
    assert undeclared == 413
    assert small.service.admission.bytes == 0


@pytest.mark.parametrize("end", ["", '"', '"a', '"a\\'])
def test_a_body_of_very_many_values_is_refused_and_text_is_none(small: Served, end: str) -> None:
    """Each takes many times its size in memory. What stands in a string is one, whatever it has in it."""
    kind = {"Content-Type": "application/json"}
    body = '{"samples": [' + "[]," * 100_000 + end
    answer = small.client.post("/v1/programs", content=body, headers=kind)
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        422,
        "more than 65536 values in a body: send several requests",
    )
    text = {**SAMPLE, "completion": SAMPLE["completion"] + '    # [[["\\"' * 50_000 + "\n"}
    assert small.post("/v1/verdicts", samples=[text]).status_code == 200


def test_a_client_that_sends_slowly_is_let_go(small: Served) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        head = f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 1000"
        slow.sendall(f"POST /v1/verdicts HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n{{".encode())
        began = time.monotonic()
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - began < 5
    assert small.service.admission.bytes == 0


def test_a_request_with_too_many_samples_says_how_many(small: Served) -> None:
    answer = small.post("/v1/verdicts", samples=[SAMPLE] * 41)
    assert (answer.status_code, "40 at most" in answer.text) == (413, True)


def test_a_batch_of_a_run_that_is_too_large_for_the_queue_is_begun(small: Served) -> None:
    programs = wire.encode_programs([Program(code=f"print({i})") for i in range(60)])
    answer = small.post("/v1/programs", settings={}, **programs)
    assert answer.status_code == 200
    assert 1 <= json.loads(answer.text.splitlines()[-1])["done"] <= 40


def test_too_many_requests_are_refused_before_their_bodies_are_there(small: Served) -> None:
    host, port = small.url.removeprefix("http://").split(":")
    small.service.admission.requests += 4
    try:
        with socket.create_connection((host, int(port)), timeout=10) as early:
            head = f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 1000"
            early.sendall(f"POST /v1/verdicts HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            assert early.recv(4096).startswith(b"HTTP/1.1 429")
    finally:
        small.service.admission.requests -= 4


def test_a_flood_is_told_when_to_come_again_and_nothing_is_lost(small: Served) -> None:
    def ask(_: int) -> int:
        with httpx2.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
            while True:
                answer = client.post(f"{small.url}/v1/verdicts", json={"samples": [SAMPLE] * 10})
                if answer.status_code == 200:
                    assert [row["status"] for row in answer.json()["verdicts"]] == ["passed"] * 10
                    return refused.count(answer)
                assert answer.status_code == 429
                assert 1 <= int(answer.headers["retry-after"]) <= 60
                refused.append(answer)
                time.sleep(0.1)

    refused: list[httpx2.Response] = []
    small.service.admission.samples += 40  # as if others had filled the queue
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, number) for number in range(16)]
        until(lambda: len(refused) >= 16)
        small.service.admission.samples -= 40
        for each in asked:
            each.result()
    assert (small.service.admission.samples, small.service.admission.requests) == (0, 0)


def test_a_request_that_takes_too_long_is_ended() -> None:
    limits = ServiceLimits(request_s=1.0)
    with in_a_thread("humaneval", limits=limits, judge=HASTY) as hasty:
        hasty.post("/v1/verdicts", samples=[SAMPLE])
        asked: dict[str, Any] = {"samples": [ENDLESS] * 8}
        answer = hasty.post("/v1/verdicts", **asked)
        assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)
        lines = hasty.post("/v1/verdicts", **asked, stream=True).text.splitlines()
        assert json.loads(lines[-1])["fault"] is True
        assert "not judged within 1 s" in lines[-1]


LONG = {**SAMPLE, "completion": f"{SAMPLE['completion']}    # {'x' * 200_000}\n"}


def deaf(served: Served, **asked: Any) -> socket.socket:
    """A client that has asked, and takes nothing of the answer."""
    body = json.dumps(asked).encode()
    head = f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    client = connected(served)
    client.sendall(f"POST /v1/verdicts HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    return client


def connected(served: Served) -> socket.socket:
    host, port = served.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_a_reader_that_takes_nothing_is_let_go() -> None:
    let_go = threading.Event()

    async def answer() -> None:
        held = AsyncExitStack()
        held.callback(let_go.set)

        async def never(_: object) -> None:
            await asyncio.sleep(60)

        await app._Held(Response(b"verdicts"), 0.2, held)({"type": "http"}, never, never)

    began = time.monotonic()
    asyncio.run(answer())
    assert let_go.is_set()
    assert time.monotonic() - began < 30


def test_an_answer_that_nobody_takes_counts_as_long_as_it_is_in_memory() -> None:
    with in_a_thread("humaneval") as patient:
        admission, metrics = patient.service.admission, patient.service.metrics
        with deaf(patient, samples=[LONG] * 40):
            until(lambda: 'path="/v1/verdicts",status="200"' in metrics.text())
            time.sleep(0.3)
            assert admission.samples == 40
            assert admission.bytes > 40 * 200_000
        until(lambda: admission.samples == admission.bytes == 0)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n"])
@pytest.mark.parametrize("asked_before", [False, True])
def test_a_head_that_does_not_come_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, asked_before: bool
) -> None:
    """Nobody needs a token for that, so it would be the way to take up all connections."""
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    monkeypatch.setattr(server, "IDLE_S", 1)
    with in_a_thread() as fresh, connected(fresh) as slow:
        slow.settimeout(5)
        if asked_before:
            slow.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert slow.recv(4096).startswith(b"HTTP/1.1 200")
        slow.sendall(sent)
        rest = b"".join(iter(lambda: slow.recv(4096), b""))
        assert rest.startswith(b"HTTP/1.1 408") or (asked_before and not sent)


@pytest.mark.parametrize(
    "begun", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /"]
)
def test_a_head_without_end_is_refused(small: Served, begun: bytes) -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(begun)
        for _ in range(40):  # 2 MB, were they taken
            connection.sendall(b"x" * 65536)
            time.sleep(0.01)

    with connected(small) as endless, pytest.raises(ConnectionError):
        send(endless)


def test_connections_beyond_those_that_are_told_so_are_closed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else they would use up this process's descriptors, and then no sandbox could be started."""
    monkeypatch.setattr(server, "MORE_CONNECTIONS", 2)
    monkeypatch.setattr(connections, "TOLD", 2)
    with in_a_thread(limits=ServiceLimits(requests=1)) as narrow, ExitStack() as opened:
        idle = [opened.enter_context(connected(narrow)) for _ in range(4)]
        with connected(narrow) as told:
            told.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert told.recv(4096).startswith(b"HTTP/1.1 503")
        idle.append(opened.enter_context(connected(narrow)))
        with connected(narrow) as further, suppress(ConnectionResetError):
            assert further.recv(4096) == b""
        for each in idle:
            each.close()
        until(lambda: narrow.client.get("/health").status_code == 200)


def test_who_asks_and_leaves_does_not_fill_the_service_with_threads() -> None:
    def waiting() -> int:
        return sum(thread.name == "request" for thread in threading.enumerate())

    until(lambda: waiting() == 0)
    with in_a_thread("humaneval", judge=HASTY) as left:
        for _ in range(40):
            different = {**ENDLESS, "completion": f"    while True: {os.urandom(4).hex()!r}\n"}
            deaf(left, samples=[different]).close()
        until(lambda: 'path="/v1/verdicts",status="499"} 40' in left.service.metrics.text())
        began = time.monotonic()
        until(lambda: waiting() == 0)
        assert time.monotonic() - began < 6  # each would wait its turn: for half a second of the one worker


def test_what_is_refused_costs_the_service_no_memory() -> None:
    def peak_mb() -> float:
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with judge_service.command(
        "humaneval", "--data", "mini", "--max-body-mb", "1", "--queue", "9"
    ) as service:
        with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as client:
            client.post("/v1/verdicts", json={"samples": [SAMPLE]})
            before = peak_mb()
            for _ in range(10):
                with suppress(httpx2.TransportError):  # it went on sending after the answer
                    assert client.post("/v1/verdicts", content=pieces(2000)).status_code == 413
            for _ in range(200):
                assert client.post("/v1/verdicts", json={"samples": [SAMPLE] * 10}).status_code == 413
                assert client.get("/metrics", headers={"Authorization": "Bearer no"}).status_code == 401
            assert peak_mb() - before < 20


def own_limits(package: ModuleType) -> Iterator[Limits]:
    """Those that the modules of a package ask for."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        yield from (each for each in vars(module).values() if isinstance(each, Limits))


def test_what_the_harness_itself_asks_for_is_within_the_limits_of_a_service() -> None:
    """A run's tests may have to be opened first, and its references are timed with ten times the limits."""
    scorers_own, of_tasks = [*own_limits(scorers)], [Limits(), *own_limits(tasks)]
    assert scorers_own
    assert len(of_tasks) > 5
    patient = [
        each.model_copy(update={"cpu_s": 10 * each.cpu_s, "wall_s": 10 * each.wall_s}) for each in of_tasks
    ]
    for limits in (*scorers_own, *patient):
        messages.within(limits, 0, "programs 0", messages.MOST_OF_RUNS)


@pytest.mark.parametrize(
    ("path", "fields", "why"),
    [
        ("programs", {"settings": {"time_limit": 1e9}}, "settings: time_limit"),
        ("programs", {"settings": {"time_limit": math.inf}}, "settings: time_limit"),
        ("programs", {"settings": {"time_limit": math.nan}}, "settings: time_limit"),
        ("programs", {"settings": {"time_limit": -1}}, "settings: time_limit"),
        ("programs", {"settings": {"memory_mb": 10**9}}, "settings: memory_mb"),
        ("programs", {"programs": [{"code": "", "limits": {"processes": 1}}]}, "processes = 1: at most 0"),
        ("programs", {"programs": [{"code": "", "limits": {"memory_mb": 10**6}}]}, "memory_mb = 1e+06"),
        (
            "programs",
            {"settings": {"time_limit": 10}, "programs": [{"code": "", "limits": {"cpu_s": 1e-6}}]},
            "limits.wall_s = 2e+08: at most 3600 here",
        ),
        (
            "programs",
            {
                "tests": [{"code": "", "entry_point": "f", "memory_mb": 10**6}],
                "programs": [{"code": "", "tests": 0}],
            },
            "programs 0: memory_mb = 1000000: at most 32768",
        ),
        ("queries", {"pairs": [{**PAIR, "cpu_s": 1e9}]}, "pairs 0: cpu_s = 1e+09"),
        ("queries", {"pairs": [{**PAIR, "repeats": 10**6}]}, "pairs 0: repeats = 1e+06"),
        ("checks", {"samples": [{"answer": "", "check": {**CHECK, "memory_mb": 10**6}}]}, "memory_mb"),
        (
            "checks",
            {"samples": [{"answer": "", "check": {**CHECK, "limits": {"cpu_s": 1e-6, "wall_s": 9.0}}}]},
            "limits.wall_s = 4.5e+06",
        ),
    ],
)
def test_no_limit_is_got_round(
    small: Served, monkeypatch: pytest.MonkeyPatch, path: str, fields: dict[str, Any], why: str
) -> None:
    file = DatabaseFile(path="/databases/a/a.sqlite", sha256="12")
    monkeypatch.setattr(small.service, "database", lambda digest: file)
    body = json.dumps({"settings": {}, **fields} if path != "checks" else fields)
    answer = small.client.post(f"/v1/{path}", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, why in answer.json()["error"]["message"]) == (422, True), answer.text


def test_an_asker_that_leaves_has_its_samples_taken_off(small: Served) -> None:
    asked = {"samples": [ENDLESS] * 8, "stream": True}
    with small.client.stream("POST", "/v1/verdicts", json=asked):
        assert small.service.admission.samples == 8
    until(lambda: small.service.admission.samples == 0)
