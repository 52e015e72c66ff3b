"""Verdicts a second of a judge's service, beside the same judge in one process and a service that starts processes.

    python benchmarks/serve.py                              2,000 verdicts, 64 clients
    python benchmarks/serve.py --verdicts 100000 --kill     two services, one killed in the middle; exit code 1 where
                                                            something is lost, doubled, unlike, slow or grows

The programs are HumanEval's own solutions (HARNESS_DATA, else the mini rows), with --kill half of them made wrong, each
made different by a comment, so that no cache helps. Every judge has as many workers as there are processors; clients
are threads of one process, the services other processes on the same machine, so that what asking costs is in the
figures.

    in process      harness.Judge, all at once
    service, 1      64 clients, a verdict a request
    service, 16     64 clients, 16 verdicts a request (so with --kill)
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
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
from harness import cpu_count

CLIENTS = 64
DATA = os.environ.get("HARNESS_DATA", "mini")
Sample = dict[str, str]
Verdict = tuple[str, str, str]
WRONG = {2: "    return None\n", 3: "    raise ValueError('wrong')\n"}
TRIES = 60  # of a request, where services go and come
LEAST, GROWTH_MB = (
    0.8,
    96.0,
)  # of the rate in process; of memory, where verdicts of equal programs are remembered


def samples(count: int, round_: str, mixed: bool = False) -> list[Sample]:
    """The same programs for each round, with another comment. `mixed`: half of them are wrong or raise."""
    with harness.Judge("humaneval", data=DATA) as judge:
        problems = judge.plan.problems
    made = []
    for i in range(count):
        problem, kind = problems[i % len(problems)], i // len(problems) % 4
        body = WRONG[kind] if mixed and kind in WRONG else problem.solution
        made.append(
            {"problem": problem.id, "completion": f"{body}    # {round_} {i}\n", "form": "continuation"}
        )
    return made


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


@dataclass
class Answers:
    """What CLIENTS clients were told: the row of each sample, and how many rows it had."""

    rows: list[dict[str, Any]]
    times: list[int]

    @property
    def done(self) -> int:
        return sum(map(bool, self.times))


def ask_all(urls: Sequence[str], given: list[Sample], size: int, watch: Callable[[Answers], None]) -> Answers:
    """All samples by CLIENTS clients, in turns at the services; what one that is gone had begun is asked elsewhere.
    `watch` is called every 0.2 s until all are done.
    """
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for start in range(0, len(given), size):
        waiting.put(start)
    answers = Answers([{} for _ in given], [0] * len(given))

    def client(place: int) -> None:
        asker = Asker(urls, place)
        while True:
            try:
                start = waiting.get_nowait()
            except queue.Empty:
                return asker.close()
            for number, row in enumerate(asker.ask(given[start : start + size]), start):
                answers.times[number] += 1
                answers.rows[number] = row

    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [pool.submit(client, number) for number in range(CLIENTS)]
        while not all(each.done() for each in asked):
            watch(answers)
            time.sleep(0.2)
        for each in asked:
            each.result()
    return answers


class Asker:
    """A client with one connection."""

    def __init__(self, urls: Sequence[str], place: int) -> None:
        self._urls, self._place = urls, place
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, some: list[Sample]) -> list[dict[str, Any]]:
        """Raises RuntimeError once no service answers."""
        body = json.dumps({"samples": some})
        for _ in range(TRIES):
            try:
                if self._connection is None:
                    url = self._urls[self._place % len(self._urls)]
                    self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=900)
                self._connection.request("POST", "/v1/verdicts", body, {"Content-Type": "application/json"})
                answer = self._connection.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                self.close()
                self._place += 1
                continue
            if answer.status == 200:
                verdicts: list[dict[str, Any]] = json.loads(data)["verdicts"]
                return verdicts
            assert answer.status in (429, 503), data
            time.sleep(float(answer.headers["Retry-After"]))
        raise RuntimeError("no service answers")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


class InProcess:
    """harness.Judge, open from the first measure to the last."""

    def __init__(self) -> None:
        self.judge = harness.Judge("humaneval", data=DATA, cache=False)

    def measure(self, given: list[Sample]) -> tuple[float, list[Verdict]]:
        """Seconds, and the verdicts."""
        pairs = [(s["problem"], harness.Completion(text=s["completion"], form="continuation")) for s in given]
        self.judge.verdicts(pairs[:4])
        began = time.monotonic()
        judged = self.judge.verdicts(pairs)
        return time.monotonic() - began, [verdict(each.model_dump()) for each in judged]


def verdict(row: dict[str, Any]) -> Verdict:
    """What has to be equal wherever it is judged."""
    return row["problem_id"], row["status"], json.dumps(row["score"], default=list)


def by_service(url: str, given: list[Sample], size: int) -> float:
    ask_all([url], given[:4], 1, lambda _: None)
    began = time.monotonic()
    answers = ask_all([url], given, size, lambda _: None)
    assert all(row["status"] == "passed" for row in answers.rows)
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


@dataclass
class Killing:
    """Watches two services, and kills the first in the middle."""

    victim: "subprocess.Popen[str]"
    other: "subprocess.Popen[str]"
    total: int
    killed_at: int = 0
    early_mb: float = 0.0
    victim_mb: float = 0.0

    def __call__(self, answers: Answers) -> None:
        done = answers.done
        if not self.early_mb and done >= self.total // 10:
            self.early_mb = peak_mb(self.other.pid)
        if not self.killed_at and done >= self.total // 2:
            self.victim_mb, self.killed_at = peak_mb(self.victim.pid), done
            self.victim.kill()


def killed(count: int, local: int) -> bool:
    """Print what became of `count` verdicts of two services, beside `local` in this process; whether all is well."""
    own = InProcess()
    given, control = samples(count, "there", mixed=True), samples(local, "here", mixed=True)
    before_s, verdicts = own.measure(control[: local // 2])
    with serve() as (first, victim), serve() as (second, other):
        watch = Killing(victim, other, count)
        began = time.monotonic()
        answers = ask_all([first, second], given, 16, watch)
        seconds, late_mb = time.monotonic() - began, peak_mb(other.pid)
    after_s, more = own.measure(control[local // 2 :])
    expected = dict(zip(map(_pair, control), verdicts + more, strict=True))
    lost, doubled = answers.times.count(0), sum(times > 1 for times in answers.times)
    unlike = sum(verdict(row) != expected[_pair(s)] for row, s in zip(answers.rows, given, strict=True))
    rate, base = count / seconds, local / (before_s + after_s)
    told = f"{local}, half of them before and half after"
    print(f"""{count} verdicts, {CLIENTS} clients, two services, one killed after {watch.killed_at}:
  lost {lost}, doubled {doubled}, unlike those judged in this process {unlike}
  {rate:.1f} verdicts/s, {rate / base:.2f} of in process ({base:.1f}: {told})
  peak MB: {watch.victim_mb:.0f} of the killed; the other {watch.early_mb:.0f} after a tenth, {late_mb:.0f} at last""")
    peers(base, max(64, count // 100))
    bad = {
        "verdicts": lost or doubled or unlike or not watch.killed_at,
        "rate": rate < LEAST * base,
        "memory": late_mb - watch.early_mb > GROWTH_MB,
    }
    wrong = ", ".join(name for name, found in bad.items() if found)
    print(f"failed: {wrong}" if wrong else "all as it should be")
    return not wrong


def peers(base: float, count: int) -> None:
    with started(__file__, "--subprocess-service") as (url, _):
        rate = count / by_service(url, samples(count, "peer"), 1)
    print(f"  a process for each request: {rate:.1f} verdicts/s, {rate / base:.2f} of in process", flush=True)


def _pair(sample: Sample) -> tuple[str, str]:
    """The problem and the program without its comment."""
    return sample["problem"], sample["completion"].partition("    # ")[0]


def table(count: int) -> None:
    own, fewer = os.getpid(), max(64, count // 10)
    inside = InProcess()
    print(f"{'':14} verdicts/s   of in process   CPU ms each, without the sandbox's")
    with serve() as (url, process), started(__file__, "--subprocess-service") as (other, peer):
        measures: list[tuple[str, int, int, Callable[[list[Sample]], float]]] = [
            ("in process", own, count, lambda given: inside.measure(given)[0]),
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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=2000)
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--local", type=int, help="with --kill: verdicts in process, a tenth unless given")
    parser.add_argument("--subprocess-service", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.subprocess_service:
        subprocess_service()
        return
    if asked.kill:
        sys.exit(0 if killed(asked.verdicts, asked.local or max(2000, asked.verdicts // 10)) else 1)
    table(asked.verdicts)


if __name__ == "__main__":
    main()
