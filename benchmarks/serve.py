"""Verdicts a second of a judge's service, beside the same judge in one process and a service that starts processes.

    python benchmarks/serve.py                              2,000 verdicts, 64 clients
    python benchmarks/serve.py --verdicts 100000 --kill     two services, one killed in the middle; then a run here

The programs are HumanEval's own solutions (HARNESS_DATA, else the mini rows), each made different by a comment, so that
no cache helps. Every judge has as many workers as there are processors; clients are threads of one process, the service
another process on the same machine, so that what asking costs is in the figures.

    in process      harness.Judge, all at once
    service, 1      64 clients, a verdict a request
    service, 16     64 clients, 16 verdicts a request
    subprocess      a Starlette service as people write it: `python -c PROGRAM` for each request, with a time limit
"""

import argparse
import asyncio
import http.client
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import harness
from harness import cpu_count

CLIENTS = 64
DATA = os.environ.get("HARNESS_DATA", "mini")
Sample = dict[str, str]


def samples(count: int, round_: str) -> list[Sample]:
    """The same programs for each round, with another comment."""
    with harness.Judge("humaneval", data=DATA) as judge:
        problems = judge.plan.problems
    return [
        {
            "problem": problems[i % len(problems)].id,
            "completion": f"{problems[i % len(problems)].solution}    # {round_} {i}\n",
            "form": "continuation",
        }
        for i in range(count)
    ]


@contextmanager
def started(*command: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server that prints its URL at the end of its first line."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[-1], process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def serve(*more: str) -> Any:
    return started("-m", "harness", "serve", "humaneval", "--data", DATA, "--port", "0", "--no-cache", *more)


def peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """Of this process alone, without its sandbox."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask_all(url: str, given: list[Sample], size: int) -> None:
    """All samples by CLIENTS clients; every one has to pass."""
    waiting: queue.SimpleQueue[list[Sample]] = queue.SimpleQueue()
    for start in range(0, len(given), size):
        waiting.put(given[start : start + size])

    def client() -> int:
        passed = 0
        with closing(http.client.HTTPConnection(url.removeprefix("http://"), timeout=900)) as connection:
            while True:
                try:
                    body = json.dumps({"samples": waiting.get_nowait()})
                except queue.Empty:
                    return passed
                connection.request("POST", "/v1/verdicts", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                assert answer.status == 200, answer.read()
                passed += sum(row["status"] == "passed" for row in json.load(answer)["verdicts"])

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(each.result() for each in [pool.submit(client) for _ in range(CLIENTS)]) == len(given)


def in_process(given: list[Sample]) -> float:
    pairs = [(s["problem"], harness.Completion(text=s["completion"], form="continuation")) for s in given]
    with harness.Judge("humaneval", data=DATA, cache=False) as judge:
        judge.verdicts(pairs[:4])
        began = time.monotonic()
        assert all(each.status == "passed" for each in judge.verdicts(pairs))
        return time.monotonic() - began


def by_service(url: str, given: list[Sample], size: int) -> float:
    ask_all(url, given[:4], 1)
    began = time.monotonic()
    ask_all(url, given, size)
    return time.monotonic() - began


# ---------------------------------------------------------------- a process for each request


def subprocess_service() -> None:
    """What people write: program and tests in a fresh interpreter, as many at a time as there are processors."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from harness import listening

    with harness.Judge("humaneval", data=DATA) as judge:
        problems = judge.problems
    free = asyncio.Semaphore(cpu_count.available())

    async def verdicts(request: Request) -> JSONResponse:
        rows = []
        for sample in (await request.json())["samples"]:
            problem = problems[sample["problem"]]
            check: Any = problem.check
            code = f"{problem.question}{sample['completion']}\ncandidate = {check.entry_point}\n{check.code}"
            async with free:
                done = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
                status = await asyncio.wait_for(done.wait(), 10)
            rows.append({"status": "failed" if status else "passed"})
        return JSONResponse({"verdicts": rows})

    with listening.listen("127.0.0.1", 0) as socket:
        print(f"judging at {listening.url(socket)}", flush=True)
        app = Starlette(routes=[Route("/v1/verdicts", verdicts, methods=["POST"])])
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[socket])


# ---------------------------------------------------------------- one of two is killed


def killed(given: list[Sample]) -> None:
    """A run whose judging two services share, one of which is killed in the middle, has the bytes of a run here."""
    with tempfile.TemporaryDirectory() as folder, serve() as (first, victim), serve() as (second, _):
        recorded = Path(folder, "rows.jsonl")
        rows = ({"task_id": s["problem"], "completion": s["completion"]} for s in given)
        recorded.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        common = (
            "-m",
            "harness",
            "score",
            "humaneval",
            "--data",
            DATA,
            "--partial",
            "--no-cache",
            "--completions",
        )
        there, here = Path(folder, "there"), Path(folder, "here")
        urls = ("--judge-url", first, "--judge-url", second)
        run = subprocess.Popen([sys.executable, *common, str(recorded), "--out", str(there), *urls])
        judged = there / "judgements.jsonl"

        def kill_in_the_middle() -> None:
            while not judged.exists() or judged.read_bytes().count(b"\n") < len(given) // 2:
                time.sleep(0.2)
            victim.kill()

        threading.Thread(target=kill_in_the_middle, daemon=True).start()
        assert run.wait() == 0
        assert victim.poll() is not None
        subprocess.run([sys.executable, *common, str(recorded), "--out", str(here)], check=True)
        equal = judged.read_bytes() == (here / "judgements.jsonl").read_bytes()
        print(f"{len(given)} verdicts, one of two services killed: equal to a run here: {equal}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=2000)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--subprocess-service", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.subprocess_service:
        subprocess_service()
        return
    if asked.kill:
        killed(samples(asked.verdicts, "kill"))
        return
    count, own = asked.verdicts, os.getpid()
    fewer = max(64, count // 10)
    print(f"{'':14} verdicts/s   of in process   CPU ms each, without the sandbox's")
    with serve() as (url, process), started(__file__, "--subprocess-service") as (other, peer):
        measures: list[tuple[str, int, int, Callable[[list[Sample]], float]]] = [
            ("in process", own, count, in_process),
            ("service, 1", process.pid, count, lambda given: by_service(url, given, 1)),
            ("service, 16", process.pid, count, lambda given: by_service(url, given, 16)),
            ("subprocess", peer.pid, fewer, lambda given: by_service(other, given, 1)),
        ]
        base = 0.0
        for name, pid, size, measure in measures:
            given, before = samples(size, name), cpu_s(pid)
            rate = size / measure(given)
            base = base or rate
            spent = 1000 * (cpu_s(pid) - before) / size
            print(f"{name:14} {rate:10.1f} {rate / base:15.2f} {spent:13.2f}", flush=True)
        print(f"peak memory of the service: {peak_mb(process.pid):.0f} MB")


if __name__ == "__main__":
    main()
