"""`harness report` and `harness compare` for chosen runs, in a process of their own.

They load the tasks that the runs name and hold whole runs in memory: neither is the watching process's affair.
"""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TIME_LIMIT_S = 600.0


@dataclass(frozen=True)
class ChildEnd:
    """`code` is the command's exit code, None where it took too long."""

    code: int | None
    out: str
    err: str


async def run_harness(command: str, folders: Sequence[Path], *options: str) -> ChildEnd:
    """`harness COMMAND FOLDERS OPTIONS`. Ended after TIME_LIMIT_S, and with the server."""
    arguments = [sys.executable, "-m", "harness", command, *options, "--", *map(str, folders)]
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), TIME_LIMIT_S)
    except TimeoutError:
        return ChildEnd(None, "", f"harness {command} took more than {TIME_LIMIT_S:.0f} seconds")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return ChildEnd(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
