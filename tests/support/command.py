"""Run `harness ARGUMENTS` in this process, as the installed command does, and see what a person would see."""

import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness import cli


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line on standard error of a command that ended because of the user's mistake."""
        assert self.code == 2, self
        assert self.err.count("\n") == 1, self
        assert self.err.startswith("error: "), self
        assert self.err.endswith("\n"), self
        return self.err.removeprefix("error: ").rstrip("\n")


def harness(*arguments: object) -> Ended:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", ["harness", *map(str, arguments)]),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    assert code is None or isinstance(code, int)
    read = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return Ended(code or 0, *read)


def run_mini(server: str, out: Path, limit: int, *more: object) -> Ended:
    """A run of mini CoNaLa at a server with OpenAI's protocol; an empty address leaves the server to `more`."""
    task = ("--task", "conala", "--data", "mini", "--limit", limit, "--no-cache")
    address = ("--server", server) if server else ()
    return harness("run", *task, "--model", "m", "--out", out, *address, *more)


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def write_rows(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def mini_humaneval() -> list[dict[str, Any]]:
    """The project's own HumanEval-like rows."""
    from harness.files import packaged

    return rows(packaged("tasks/mini/humaneval/HumanEval.jsonl"))


def until(true: Callable[[], bool]) -> None:
    """Wait for something that comes about by itself; it is wrong that it does not within a minute."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def snippets(path: Path, count: int = 3) -> list[str]:
    """Arguments that score the first conala rows: text only, no sandbox."""
    write_rows(path, [{"task_id": f"conala/test/{i}", "text": "x = 1"} for i in range(count)])
    return ["conala", "--data", "mini", "--set", f"limit={count}", "--completions", str(path)]


def metrics(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text(encoding="utf-8"))["metrics"]
    return found
