"""The process that makes databases of posted scripts: JSON lines {"path", "script", "seconds"} in, {"error"} out.

A script may do nothing but make tables and fill them: no other file is attached, no setting changed, and its size,
memory and time are limited. Run by its path, with the standard library only.
"""

import json
import os
import resource
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from time import monotonic

MAX_PAGES = 4096  # of 4 kB
MEMORY_MB = 512  # of this process
STEPS = 100  # of SQLite's machine between two looks at the clock
MAX_SHOWN = 500
_DENIED = frozenset(
    {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_CREATE_VTABLE}
)


def build(script: str, path: str, seconds: float) -> str:
    """What is wrong with the script; empty if it has made the database."""
    until = monotonic() + seconds
    with closing(sqlite3.connect(path)) as connection:
        for setting in (
            "journal_mode=OFF",
            "synchronous=OFF",
            "temp_store=MEMORY",
            f"max_page_count={MAX_PAGES}",
        ):
            connection.execute(f"PRAGMA {setting}")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 4 * MAX_PAGES * 1024)
        connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action in _DENIED else sqlite3.SQLITE_OK
        )
        connection.set_progress_handler(lambda: monotonic() > until, STEPS)
        try:
            connection.executescript(script)
            connection.commit()
        except MemoryError:
            return f"more than {MEMORY_MB} MB of memory"
        except (sqlite3.Error, ValueError) as error:
            return f"more than {seconds:g} s" if str(error) == "interrupted" else str(error)[:MAX_SHOWN]
    return ""


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends when the service does, with its input
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20, MEMORY_MB << 20))
    for line in sys.stdin:
        asked = json.loads(line)
        if error := build(**asked):
            with suppress(FileNotFoundError):
                os.unlink(asked["path"])
        os.write(1, json.dumps({"error": error}).encode() + b"\n")


if __name__ == "__main__":
    main()
