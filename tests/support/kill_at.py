"""A warm process that runs harness commands in forks of itself and kills them where it is told to.

Starting Python and importing torch takes seconds; a fork of a process that has done both takes
milliseconds, so a test can afford dozens of runs. Not a test itself: tests/runs/test_resume.py and
tests/training/test_resume.py start it and talk to it in lines of JSON.

    -> {"argv": [...], "stage": FILE, "flush_rows": 3, "after_s": 0.2}       killed from outside, after a time
    -> {"argv": [...], "stage": FILE, "flush_rows": 3, "at_sync": 5}         at its 5th fsync or rename
    -> {"argv": [...], "stage": FILE, "flush_rows": 3, "at_step": 7}         at its 7th step of progress
    -> {..., "below": FOLDER, "at_change": 4}        when it is about to make its 4th change of a folder's files
    <- {"status": -9}                                                       as waitpid gives it

`python -m tests.support.kill_at train` is warm for trainings.
"""

import contextlib
import gc
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from harness import cli, environment
from harness.runs import plan, progress
from harness.runs.store import jsonl
from harness.runs.store.run_folder import RunFolder


def warm() -> None:
    """Import and use once what a run needs, on one thread: threads do not survive a fork."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast  # noqa: F401

    from harness import scorers
    from harness.backends import replay  # noqa: F401
    from harness.results.report import terminal  # noqa: F401
    from harness.schema import Problem, Reference
    from harness.stats import estimates  # noqa: F401

    torch.set_num_threads(1)
    problem = Problem(id="", question="", solution="", check=Reference(texts=("x = 1",)))
    for scorer in (scorers.exact, scorers.codebleu):
        list(scorer.score([(problem, "x = 2")], None))
    gc.freeze()  # or every collection in a child walks through, and copies, all of torch


def serve(requests: TextIO, replies: TextIO, prepare: Callable[[], None]) -> None:
    prepare()
    replies.write("ready\n")
    replies.flush()
    for line in requests:
        request = json.loads(line)
        replies.write(json.dumps({"status": run(request)}) + "\n")
        replies.flush()


def run(request: dict[str, Any]) -> int:
    """Fork, have the child do the command, kill it when its time is up; the status as a return code."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        child(request)
    after = request.get("after_s")
    while True:
        ended, status = os.waitpid(pid, 0 if after is None else os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() - began >= after:
            os.kill(pid, signal.SIGKILL)
            after = None
        time.sleep(0.001)


def child(request: dict[str, Any]) -> None:
    """Never returns. Notes in the stage file how far the run is, in a way that a kill does not undo."""
    code = 70
    try:
        log = os.open(request.get("log", "/dev/null"), os.O_WRONLY | os.O_CREAT)
        for stream in (0, 1, 2):
            os.dup2(log, stream)
        note(os.open(request["stage"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), request.get("at_step", 0))
        jsonl.FLUSH_ROWS = request["flush_rows"]
        jsonl.SYNC_SHARE = 1e9  # each batch is synced, however long that takes
        # The commit of a checkout in which people work changes; it is recorded, not compared.
        environment.commit = lambda: "0" * 40
        if "at_sync" in request:
            kill_at(request["at_sync"])
        if "below" in request:
            kill_before_change(request["below"], request.get("at_change", 0))
        sys.argv = ["harness", *request["argv"]]
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        os._exit(code)


def note(handle: int, last: int) -> None:
    """Write the stage down; kill this process at its `last` step of progress, if that is not 0."""
    steps = itertools.count(1)

    def write(stage: str) -> None:
        os.pwrite(handle, stage.encode().ljust(16), 0)

    def step(stage: str, done: int, total: int, *_: object) -> None:
        write(stage if done < total else f"{stage} end")
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextlib.contextmanager
    def show(stream: TextIO) -> Iterator[plan.Progress]:
        del stream
        yield step

    original = RunFolder.write_summary

    def write_summary(self: RunFolder, summary: Any) -> None:
        write("finish")
        original(self, summary)
        write("done")

    write("start")
    progress.show = show
    RunFolder.write_summary = write_summary  # type: ignore[method-assign]


def kill_at(count: int) -> None:
    """Kill this process before or after (odd or even) one of its calls that make something durable."""
    left = count

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            for step in (lambda: None, lambda: call(*arguments, **more)):
                result = step()
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return result

        return counting

    os.fsync = counted(os.fsync)
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]


def kill_before_change(below: str, count: int) -> None:
    """Kill this process before one of the files and folders in `below` is made, opened to write, moved or deleted.

    Counts them in a file beside the folder, for the caller to know how many there are.
    """
    counter = os.open(f"{below}.changes", os.O_WRONLY | os.O_CREAT)
    numbers = itertools.count(1)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            changes = isinstance(given[2], int) and bool(given[2] & (os.O_WRONLY | os.O_RDWR))
        else:
            changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir")
        if changes and below in str(given[0]) + str(given[-1]):
            number = next(numbers)
            os.pwrite(counter, str(number).encode(), 0)
            if number == count:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def warm_training() -> None:
    """Import what a training needs."""
    import peft  # noqa: F401
    import torch
    from transformers import LlamaForCausalLM, Trainer  # noqa: F401

    from harness.training import trainer  # noqa: F401

    torch.set_num_threads(1)
    gc.freeze()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout, warm_training if sys.argv[1:] == ["train"] else warm)
