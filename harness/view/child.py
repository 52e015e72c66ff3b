"""`harness report` and `harness compare` for chosen runs, in a process of their own.

They load the tasks that the runs name and hold whole runs in memory: neither is the watching process's affair.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

TIME_LIMIT_S = 600.0
LOOK_S = 0.3  # between looks whether it is still wanted

Unwanted = Callable[[], Awaitable[bool]]  # whether the page is closed, or the server has been told to end


@dataclass(frozen=True)
class ChildEnd:
    """`code` is the command's exit code, None where it took too long."""

    code: int | None
    out: str
    err: str


async def run_harness(command: str, folders: Sequence[Path], *options: str, unwanted: Unwanted) -> ChildEnd:
    """`harness COMMAND FOLDERS OPTIONS`. Ended after TIME_LIMIT_S, and as soon as it is unwanted."""
    arguments = [sys.executable, "-m", "harness", command, *options, "--", *map(str, folders)]
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said = asyncio.ensure_future(process.communicate())
    until = monotonic() + TIME_LIMIT_S
    try:
        while not (await asyncio.wait({said}, timeout=LOOK_S))[0]:
            if await unwanted():
                return ChildEnd(None, "", "nobody waits for it any more")
            if monotonic() > until:
                return ChildEnd(None, "", f"harness {command} took more than {TIME_LIMIT_S:.0f} seconds")
        out, err = await said
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        said.cancel()
    return ChildEnd(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
