"""A server with OpenAI's protocol, in this process, that answers as told: rightly or in one of many wrong ways."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Given the number of this request (from 0) and its body: what goes wrong, or "".
Plan = Callable[[int, dict[str, Any]], str]


def fine(number: int, body: dict[str, Any]) -> str:
    return ""


@dataclass
class World:
    """What the server saw, and what it shall do. `answer` makes the text of sample `index` of a request."""

    plan: Plan = fine
    url: str = ""
    models: tuple[str, ...] = ("m",)
    key: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    delay: float = 0.0
    answer: Callable[[dict[str, Any], int], str] = lambda body, index: (
        f"{asked(body)}:{body.get('seed')}:{index}"
    )
    lock: threading.Lock = field(default_factory=threading.Lock)


def asked(body: dict[str, Any]) -> str:
    return str(body["prompt"]) if "prompt" in body else str(body["messages"][-1]["content"])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: World

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self._refused():
            return
        self._json(200, {"data": [{"id": name, "max_model_len": 4096} for name in self.world.models]})

    def do_POST(self) -> None:
        world = self.world
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with world.lock:
            number = len(world.bodies)
            world.bodies.append(body)
            world.paths.append(self.path)
            world.keys.append(self.headers.get("authorization", ""))
            world.at_once += 1
            world.most_at_once = max(world.most_at_once, world.at_once)
        try:
            if not self._refused():
                time.sleep(world.delay)
                self._act(world.plan(number, body), body)
        finally:
            with world.lock:
                world.at_once -= 1

    def _refused(self) -> bool:
        if self.world.key and self.headers.get("authorization") != f"Bearer {self.world.key}":
            self._json(401, {"error": {"message": "Incorrect API key provided"}})
            return True
        return False

    def _act(self, fault: str, body: dict[str, Any]) -> None:
        good, words = self._good(body), fault.split()
        if error := _refusal(words, body):
            self._json(error.pop("status", 400), {"error": error})
        elif (answer := _answer(words, good)) is not None:
            self._json(200, answer)
        else:
            self._break(words, good)

    def _break(self, words: list[str], good: dict[str, Any]) -> None:
        """What is no answer of the protocol at all, or comes too late, in parts or with another status."""
        match words:
            case ["status", number, *rest]:
                headers = {"Retry-After": " ".join(rest)} if rest else {}
                self._json(int(number), {"error": {"message": f"told to answer {number}"}}, headers)
            case ["html"]:
                self._bytes(200, b"<html><body>504 Gateway</body></html>", "text/html")
            case ["truncated"]:
                self.send_response(200)
                self.send_header("content-length", "5000")
                self.end_headers()
                self.wfile.write(json.dumps(good).encode()[:40])
                self.close_connection = True
            case ["dropped"]:
                self.close_connection = True
            case ["slow"]:
                time.sleep(1.0)
                self._json(200, good)
            case ["tells"]:  # the request's headers, as a proxy in its debugging mode does
                self._json(500, {"error": {"message": str(self.headers)}})
            case ["garbled"]:
                self._bytes(200, b"no gzip at all", "application/json", {"content-encoding": "gzip"})
            case ["deep"]:
                self._bytes(200, b'{"choices":' + b"[" * 100_000, "application/json")
            case ["trickle"]:
                data = json.dumps(good).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                for byte in data[:40]:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.05)
                self.close_connection = True
            case other:
                raise AssertionError(other)

    def _good(self, body: dict[str, Any]) -> dict[str, Any]:
        texts = [self.world.answer(body, index) for index in range(body.get("n", 1))]
        if "messages" in body:
            choices = [
                {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} for text in texts
            ]
        else:
            choices = [{"text": text, "finish_reason": "stop"} for text in texts]
        if body.get("logprobs"):
            for choice in choices:
                told = {"content": [{"logprob": -0.5}, {"logprob": -0.25}]}
                choice["logprobs"] = told if "messages" in body else {"token_logprobs": [-0.5, -0.25]}  # type: ignore[assignment]
        return {"choices": choices, "usage": {"prompt_tokens": 7, "completion_tokens": 5 * len(texts)}}

    def _json(self, status: int, plain: Any, headers: dict[str, str] | None = None) -> None:
        self._bytes(status, json.dumps(plain).encode(), "application/json", headers or {})

    def _bytes(self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {
            **(headers or {}),
            "content-type": kind,
            "content-length": str(len(data)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _refusal(words: list[str], body: dict[str, Any]) -> dict[str, Any]:
    """The error of a server that does not take this request, of status 400 unless it says another; {} if it does."""
    match words:
        case ["context"]:
            message = "This model's maximum context length is 4096 tokens. However, you requested 5000."
            return {"message": message}
        case ["single"]:  # as Groq says it
            return {"message": "'n' : number must be at most 1", "type": "invalid_request_error"}
        case ["single", "500"]:  # as llama.cpp says it
            return {"message": "Only one completion choice is allowed", "type": "server_error", "status": 500}
        case ["no_suffix", status]:  # as vLLM says it, and llama.cpp with status 500
            return {"message": "suffix is not currently supported", "status": int(status)}
        case ["prompt_filtered"]:  # as Azure says it
            return {"message": "The prompt was filtered", "code": "content_filter"}
        case ["stops", "0"] if body.get("stop"):  # as OpenAI's reasoning models say it
            return {"message": "Unsupported parameter: 'stop' is not supported with this model."}
        case ["stops", number] if len(body.get("stop", ())) > int(number):  # as OpenAI says it
            message = f"Invalid 'stop': array too long. Expected maximum length {number}."
            return {"message": message, "param": "stop"}
        case ["newer"] if "max_tokens" in body:  # as OpenAI's newer models say it
            return {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}
    return {}


def _answer(words: list[str], good: dict[str, Any]) -> dict[str, Any] | None:
    """What a server answers whose good answer this is; None for what is no answer of the protocol."""
    choices: list[dict[str, Any]] = good["choices"]
    match words:
        case [] | ["stops", _] | ["newer"]:
            return good
        case ["empty"]:
            return good | {"choices": []}
        case ["schema"]:
            return {"result": "fine"}
        case ["parses"]:  # the thought is told apart
            for choice in choices:
                thought, _, text = choice["message"].pop("content").partition("</think>")
                choice["message"] |= {"content": text or None, "reasoning_content": thought}
            return good
        case ["abort"]:
            return good | {"choices": [{"text": "half", "finish_reason": "abort"}]}
        case ["refuses"]:
            message = {"content": None, "refusal": "I can't help with that."}
            return good | {"choices": [{"message": message, "finish_reason": "stop"}]}
        case ["one"]:  # n ignored
            return good | {"choices": choices[:1]}
        case ["most", number]:  # n has an upper limit
            return good | {"choices": choices[: int(number)]}
        case ["shuffled"]:
            numbered = [choice | {"index": i} for i, choice in enumerate(choices)]
            return good | {"choices": numbered[::-1] * 2}
        case ["uncounted"]:
            return {"choices": choices}
        case ["half"]:  # a character's first half, which JSON can hold
            return good | {"choices": [{"text": "a\ud83d", "finish_reason": "length"}]}
        case ["thinks"]:
            message = {"content": None, "reasoning_content": "Let me see"}
            return good | {"choices": [{"message": message, "finish_reason": "length"}]}
        case ["infinite"]:
            logprobs = {"token_logprobs": [-0.5, float("-inf")]}
            return good | {"choices": [{"text": "a", "logprobs": logprobs}]}
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that gave up waiting


@contextmanager
def serving(world: World, port: int = 0) -> Iterator[World]:
    handler = type("Handler", (_Handler,), {"world": world})
    server = _Server(("127.0.0.1", port), handler)
    world.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
