"""What a request costs the client: 1,000 completions, 64 in flight, against a server that answers at once.

    python benchmarks/client.py                     five rounds of each, in turns; medians
    python benchmarks/client.py --requests 200 --rounds 1 --delay-ms 50

The server is a process of its own that reads a request and writes one prepared answer after `--delay-ms`, so what is
measured is the client: CPU time of its process (user and system, all threads) and wall time, each for one request,
with and without those of the floor, which writes prepared bytes to 64 sockets and waits for an answer on each.

    harness        backend openai as a run uses it: bodies made, answers checked, retries ready
    openai         the package `openai` (if installed): AsyncOpenAI, completions.create
    httpx2         the library that the harness uses itself, plain: an AsyncClient, post, json
    threads        httpx2's Client in 64 threads, as the harness did it before
    floor          prepared bytes over raw sockets
"""

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from harness.backends import openai as backend
from harness.config.backend import BackendConfig, ServerConfig
from harness.schema import Prompt, Request, Sampling

ANSWER = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "text": "    return a + b\n" * 12, "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 120, "completion_tokens": 84, "total_tokens": 204},
}
PROMPT = "def add(a, b):\n" + '    """Add two numbers."""\n' * 20
SAMPLING = Sampling(max_tokens=256, stop=("\ndef ", "\nclass "))


async def serve(delay_s: float) -> None:
    """Answer each request of each connection with the same bytes; print the port and go on until killed."""

    def reply(plain: object) -> bytes:
        data = json.dumps(plain).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        return head.encode() + data

    answer, models = reply(ANSWER), reply({"data": [{"id": "m"}]})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.split(b"\r\n"):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        await reader.readexactly(int(value))
                if delay_s:
                    await asyncio.sleep(delay_s)
                writer.write(models if head.startswith(b"GET") else answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def mock(delay_ms: float) -> Iterator[int]:
    command = [sys.executable, __file__, "--serve", "--delay-ms", str(delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


# ---------------------------------------------------------------- clients


def harness(port: int, requests: int, flight: int) -> int:
    server = ServerConfig(url=f"http://127.0.0.1:{port}/v1", concurrency=flight)
    client = backend.load(BackendConfig(kind="openai", model="m", server=server))
    asked = [Request(f"p/{i}", Prompt(text=PROMPT), (0,)) for i in range(requests)]
    made = list(client.generate(asked, SAMPLING))
    client.close()
    return sum(each.completion.completion_tokens for each in made)


def body() -> dict[str, object]:
    return {
        "model": "m",
        "prompt": PROMPT,
        "max_tokens": SAMPLING.max_tokens,
        "temperature": 0.0,
        "stop": list(SAMPLING.stop),
    }


def tokens(plain: dict[str, dict[str, int]]) -> int:
    return plain["usage"]["completion_tokens"]


async def at_most(flight: int, requests: int, one: Callable[[], Awaitable[int]]) -> int:
    places = asyncio.Semaphore(flight)

    async def in_turn() -> int:
        async with places:
            return await one()

    return sum(await asyncio.gather(*(in_turn() for _ in range(requests))))


def package(port: int, requests: int, flight: int) -> int:
    from openai import AsyncOpenAI

    async def go() -> int:
        async with AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:

            async def one() -> int:
                made = await client.completions.create(**body())
                return made.usage.completion_tokens

            return await at_most(flight, requests, one)

    return asyncio.run(go())


def plain(port: int, requests: int, flight: int) -> int:
    import httpx2

    async def go() -> int:
        limits = httpx2.Limits(max_connections=flight, max_keepalive_connections=flight)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1/", limits=limits) as client:

            async def one() -> int:
                return tokens((await client.post("completions", json=body())).json())

            return await at_most(flight, requests, one)

    return asyncio.run(go())


def threads(port: int, requests: int, flight: int) -> int:
    import httpx2

    limits = httpx2.Limits(max_connections=flight, max_keepalive_connections=flight)
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{port}/v1/", limits=limits) as client,
        ThreadPoolExecutor(flight) as pool,
    ):
        made = [pool.submit(lambda: client.post("completions", json=body()).json()) for _ in range(requests)]
        return sum(tokens(each.result()) for each in made)


def floor(port: int, requests: int, flight: int) -> int:
    data = json.dumps(body()).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(data)}\r\n\r\n".encode()

    async def go() -> int:
        async def connection(asked: int) -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(asked):
                writer.write(head + data)
                start = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(start.rpartition(b":")[2]))
            writer.close()
            return asked

        shares = [requests // flight + (i < requests % flight) for i in range(flight)]
        return sum(await asyncio.gather(*(connection(share) for share in shares))) * tokens(ANSWER)  # type: ignore[arg-type]

    return asyncio.run(go())


CLIENTS = {"harness": harness, "openai": package, "httpx2": plain, "threads": threads, "floor": floor}


# ---------------------------------------------------------------- measuring


@dataclass(frozen=True)
class Took:
    """Milliseconds for one request."""

    cpu: float
    wall: float


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(name: str, port: int, requests: int, flight: int) -> Took:
    """In a fresh process, after as many requests as are in flight: imports and connections are not of interest."""
    command = [sys.executable, __file__, "--client", name, "--port", str(port)]
    command += ["--requests", str(requests), "--flight", str(flight)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Took(**json.loads(done.stdout))


def client(name: str, port: int, requests: int, flight: int) -> None:
    ask = CLIENTS[name]
    ask(port, flight, flight)
    cpu, wall = cpu_s(), time.perf_counter()
    got = ask(port, requests, flight)
    took = Took(1000 * (cpu_s() - cpu) / requests, 1000 * (time.perf_counter() - wall) / requests)
    assert got == requests * tokens(ANSWER), (name, got)  # type: ignore[arg-type]
    print(json.dumps(took.__dict__))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--flight", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.delay_ms / 1000))
    elif given.client:
        client(given.client, given.port, given.requests, given.flight)
    else:
        table(given)


def table(given: argparse.Namespace) -> None:
    took: dict[str, list[Took]] = {}
    with mock(given.delay_ms) as port:
        for _ in range(given.rounds):
            for name in CLIENTS:
                try:
                    took.setdefault(name, []).append(measure(name, port, given.requests, given.flight))
                except subprocess.CalledProcessError as error:
                    last = error.stderr.strip().split("\n")[-1]
                    print(f"{name}: {last}", file=sys.stderr)
    middle = {
        name: Took(statistics.median(t.cpu for t in each), statistics.median(t.wall for t in each))
        for name, each in took.items()
        if each
    }
    base = middle["floor"]
    print(f"{given.requests} requests, {given.flight} in flight, server's delay {given.delay_ms:g} ms")
    print("| client | CPU ms a request | above the floor | wall ms a request | above the floor |")
    print("|---|--:|--:|--:|--:|")
    for name, each in middle.items():
        more = f"{each.cpu - base.cpu:.2f} | {each.wall:.2f} | {each.wall - base.wall:.2f}"
        print(f"| {name} | {each.cpu:.2f} | {more} |")


if __name__ == "__main__":
    main()
