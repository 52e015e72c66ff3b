"""--judge-url: a run whose programs and queries are run by services has the bytes of a run here."""

import json
import os
import pickle
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

import httpx2
import pytest

from harness import api, sandbox
from harness.errors import ConfigError
from harness.runs.services import wire
from harness.runs.services.connection import Connection, ServiceClient, Unreachable
from harness.runs.workers import tasks
from harness.runs.workers.pool import WorkerDied
from harness.runs.workers.protocol import PartialResult, WorkRequest, pack
from harness.schema import ExecResult, Limits, Pair, Program, UnitTests
from tests.support import judge_service
from tests.support.command import Ended, harness, mini_humaneval, rows, write_rows
from tests.support.judge_service import TOKEN, Served, in_a_thread

SOLUTIONS = [
    {"task_id": row["task_id"], "completion": text}
    for row in mini_humaneval()[:20]
    for text in (row["canonical_solution"], "    return None\n")
]


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_JUDGE_TOKEN", TOKEN)


def score(task: str, completions: Path, out: Path, *more: object) -> Ended:
    return harness(
        "score", task, "--data", "mini", "--partial", "--completions", completions, "--out", out, *more
    )


def test_verdicts_record_and_signature_are_those_of_a_run_here(served: Served, tmp_path: Path) -> None:
    recorded = write_rows(tmp_path / "rows.jsonl", SOLUTIONS)
    before = served.service.lanes.judged
    here = score("humaneval", recorded, tmp_path / "here", "--workers", 1)
    there = score("humaneval", recorded, tmp_path / "there", "--judge-url", served.url)
    assert (here.code, there.code) == (0, 0), there
    for name in ("judgements.jsonl", "generations.jsonl", "problems.jsonl"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
    runs = [json.loads((tmp_path / each / "run.json").read_text()) for each in ("here", "there")]
    assert runs[0]["judge"] == runs[1]["judge"]
    signed = [
        json.loads((tmp_path / each / "summary.json").read_text())["signature"] for each in ("here", "there")
    ]
    assert signed[0] == signed[1]
    assert served.service.lanes.judged - before >= len(SOLUTIONS)  # they were run there


def test_queries_find_the_service_own_databases_by_their_digests(served: Served, tmp_path: Path) -> None:
    recorded = write_rows(
        tmp_path / "rows.jsonl",
        [{"task_id": f"spider/dev/{i}", "text": "SELECT count(*) FROM bakery"} for i in range(4)],
    )
    for where, more in (("here", ("--workers", 1)), ("there", ("--judge-url", served.url))):
        assert score("spider", recorded, tmp_path / where, *more).code == 0
    here, there = (rows(tmp_path / each / "judgements.jsonl") for each in ("here", "there"))
    assert here == there
    with in_a_thread("humaneval") as other:
        lacking = score("spider", recorded, tmp_path / "lacking", "--judge-url", other.url)
    assert (lacking.code, "start the service with the task, and the same files" in lacking.err) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_of_two_services_is_killed_or_hangs_and_no_verdict_is_lost_or_doubled(
    tmp_path: Path, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    different = [
        {**row, "completion": f"{row['completion']}    # {i}\n"} for i in range(5) for row in SOLUTIONS
    ]  # equal programs would be run once
    recorded = write_rows(tmp_path / "rows.jsonl", different)
    assert score("humaneval", recorded, tmp_path / "here", "--workers", 1).code == 0
    with judge_service.command() as first, judge_service.command() as second:
        ended: list[Ended] = []
        more = ("--judge-url", first.url, "--judge-url", second.url, "--set", "judge.stall_s=5")
        run = threading.Thread(
            target=lambda: ended.append(score("humaneval", recorded, tmp_path / "there", "--no-cache", *more))
        )
        run.start()
        judged = tmp_path / "there" / "judgements.jsonl"
        while run.is_alive() and not (judged.exists() and judged.read_bytes().count(b"\n") >= 30):
            time.sleep(0.05)
        assert run.is_alive()
        first.process.send_signal(number)
        run.join()
    assert ended[0].code == 0, ended
    assert len(rows(judged)) == len(different)
    assert judged.read_bytes() == (tmp_path / "here" / "judgements.jsonl").read_bytes()
    if number == signal.SIGSTOP:
        assert f"to {first.url}: it has given no sign of life for 5 s" in caplog.text


def test_a_service_that_is_restarted_goes_on_with_the_run(tmp_path: Path) -> None:
    different = [
        {**row, "completion": f"{row['completion']}    # {i}\n"} for i in range(3) for row in SOLUTIONS
    ]
    recorded = write_rows(tmp_path / "rows.jsonl", different)
    ended: list[Ended] = []
    judged = tmp_path / "there" / "judgements.jsonl"
    with judge_service.command() as first:
        url = ("--judge-url", first.url)
        run = threading.Thread(
            target=lambda: ended.append(score("humaneval", recorded, tmp_path / "there", "--no-cache", *url))
        )
        run.start()
        while run.is_alive() and not (judged.exists() and judged.read_bytes().count(b"\n") >= 30):
            time.sleep(0.05)
        assert run.is_alive()
        first.kill()
    with judge_service.command("--port", first.url.rpartition(":")[2]):
        run.join()
    assert ended[0].code == 0, ended
    assert len(rows(judged)) == len(different)
    assert {row["status"] for row in rows(judged)[::2]} == {"passed"}


def test_the_same_in_python(served: Served, tmp_path: Path) -> None:
    before = served.service.lanes.judged
    where = {"out": tmp_path / "run", "judge_url": served.url}
    run = api.score("humaneval", SOLUTIONS[:2], data="mini", partial=True, **where)
    assert [row["status"] for row in rows(run.path / "judgements.jsonl")] == ["passed", "failed"]
    assert served.service.lanes.judged > before


def test_what_is_wrong_with_a_service_is_one_line(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = write_rows(tmp_path / "rows.jsonl", SOLUTIONS[:2])

    def told(*more: object) -> Ended:
        return score("humaneval", recorded, tmp_path / "run", *more)

    assert "expected http(s)://HOST:PORT" in told("--judge-url", "judge:8017").complaint
    assert "a token comes from HARNESS_JUDGE_TOKEN" in told("--judge-url", "http://me:secret@judge").complaint
    python = ("--set", "judge.python=/usr/bin/python3")
    assert (
        "start the service with --set judge.python=PATH" in told("--judge-url", served.url, *python).complaint
    )
    process = told("--judge-url", served.url, "--sandbox", "process").complaint
    assert "this service isolates programs" in process
    gone = told("--judge-url", "http://127.0.0.1:9")
    assert (gone.code, "no judge service at http://127.0.0.1:9" in gone.err) == (3, True)
    monkeypatch.setenv("HARNESS_JUDGE_TOKEN", "another token")
    assert "asks for its token, in HARNESS_JUDGE_TOKEN" in told("--judge-url", served.url).complaint
    monkeypatch.setenv("HARNESS_JUDGE_TOKEN", TOKEN)
    monkeypatch.setattr(wire, "source_digest", lambda: os.urandom(4).hex())  # another each time it is asked
    assert "verdicts may differ; install the same version" in told("--judge-url", served.url).complaint


@dataclass(frozen=True)
class Scripted(ServiceClient):
    """A service that answers each request with these pieces, and notes when they are all taken."""

    pieces: Sequence[bytes] = ()
    kind: str = wire.LINES
    taken: list[bool] = field(default_factory=list)

    def open(self) -> httpx2.Client:
        def content() -> Iterator[bytes]:
            yield from self.pieces
            self.taken.append(True)

        def answer(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, headers={"Content-Type": self.kind}, content=content())

        return httpx2.Client(base_url=self.base, transport=httpx2.MockTransport(answer))


@pytest.mark.parametrize(
    ("kind", "piece", "error", "why"),
    [
        (wire.LINES, b'{"error": "the judge is stopping", "fault": true}\n', Unreachable, "is stopping"),
        (wire.LINES, b'{"error": "no such sandbox", "fault": false}\n', ConfigError, "no such sandbox"),
        (wire.LINES, b"[1]\n", Unreachable, "no JSON object"),
        (wire.LINES, b"oops\n", Unreachable, "no JSON object"),
        (wire.LINES, b"\n\n", Unreachable, "an empty answer"),
        ("text/html", b"<html>", ConfigError, "is it a harness serve?"),
    ],
)
def test_a_service_that_cannot_say_who_it_is_is_no_other_version(
    kind: str, piece: bytes, error: type[Exception], why: str
) -> None:
    client = Scripted("http://judge", "", {}, pieces=[piece], kind=kind)
    with client.open() as http, pytest.raises(error, match=re.escape(why)):
        client.identity(http)


def carried_out(client: ServiceClient, programs: int) -> list[PartialResult]:
    """What a connection hands over of a request. Raises WorkerDied."""
    arrived = Condition()
    connection = Connection("c", client, arrived)
    items = [(number, pickle.dumps(Program(code=""))) for number in range(programs)]
    connection.send(pack(WorkRequest("programs", None, items)))
    received: list[PartialResult] = []
    try:
        while not (received and received[-1].final):
            with arrived:
                assert arrived.wait_for(lambda: connection.has_arrived, 30)
            received += [partial for partial, _ in connection.receive()]
    finally:
        connection.close()
    return received


def test_an_answer_counts_when_it_has_what_it_says() -> None:
    result = wire.line(wire.result_fields(0, ExecResult(status="passed")))
    whole = Scripted("http://judge", "", {}, pieces=[b"\n", result, b'{"done":1}\n'])
    assert [len(partial.results) for partial in carried_out(whole, 2)] == [1, 0]  # the second has no time
    assert whole.taken  # to the end, so that the connection can be used again
    for pieces in ([result, b'{"done":2}\n'], [result], [b'{"done":0}\n']):
        with pytest.raises(WorkerDied, match="ended before its time"):
            carried_out(Scripted("http://judge", "", {}, pieces=pieces), 2)


def test_a_chunk_whose_time_is_over_is_given_back(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "JUDGE_CHUNK_S", 0.1)
    endless = [Program(code=f"while True: {i}", limits=Limits(cpu_s=0.2)) for i in range(50)]
    body = {"settings": wire.encode_settings(sandbox.Settings()), **wire.encode_programs(endless)}
    *results, end = served.post(wire.PROGRAMS, **body).text.splitlines()
    done = json.loads(end)["done"]
    assert len([line for line in results if line]) == done
    assert 1 <= done <= 10


def test_a_service_here_is_asked_without_a_proxy(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    client = ServiceClient(served.url, TOKEN, wire.encode_settings(sandbox.Settings()))
    with client.open() as http:
        assert client.identity(http)[1] == 1


def test_programs_and_queries_cross_the_wire_unchanged() -> None:
    tests = UnitTests(code="assert f() == '\ud800'", entry_point="f")
    programs = [
        Program(code="def f(): ...", tests=tests),
        Program(code="\udcff", stdin="\udc80", files={"a": "\ud800"}, argv=("x",), tests=tests),
        Program(
            code="int main(){}", language="cpp", flags=("-O2",), needs=("h",), sentinel="s", tests_start=3
        ),
        Program(code="", tests=UnitTests(code="x", entry_point="g", cases=("a", "b"))),
    ]
    sent = json.loads(wire.line(wire.encode_programs(programs)))
    assert len(sent["tests"]) == 2  # what two programs share is sent once
    assert wire.decode_programs(sent) == programs
    result = ExecResult(status="failed", stdout="\ud800", cpu_s=0.1 + 0.2)
    assert wire.decode_result("programs", json.loads(wire.line(wire.result_fields(1, result)))) == result
    files = ({"path": "/a/b/c.sqlite", "sha256": "12"},)
    pair = Pair.model_validate(
        {"sql": "x", "gold": "y", "folders": ("/a",), "files": files, "compare": "set"}
    )
    sent = json.loads(wire.line(wire.encode_queries([pair])))
    assert "/a" not in json.dumps(sent)
    assert wire.decode_queries(sent, lambda digest: {"12": pair.files[0]}[digest], lambda _: ("/a",)) == [
        pair
    ]
