"""Which Python runs programs and tests: this one or another virtual environment's, and what they may import there.

A program sees the standard library and the packages that its benchmark names, whatever else is installed beside the
harness. A benchmark may need versions that this environment cannot have (DS-1000 needs pandas 1.5). In the other
environment the harness need not be installed: what the sandbox runs there takes the standard library alone. Python's
version and the packages are written into the run's record.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import UserError
from harness.sandbox.python import installed

MIN_VERSION = (3, 11)
_ASK = """
import json, runpy, sys
print(json.dumps(runpy.run_path(sys.argv[1])["find"](*json.loads(sys.argv[2]))))
"""


@dataclass(frozen=True)
class Interpreter:
    """`folders`: of installed packages, none where programs see none. `importable`: the modules that may be imported
    from there; empty for all. `packages`: name -> version of what they belong to. `absent`: named, and not installed.
    """

    path: str
    version: str
    folders: tuple[str, ...] = ()
    importable: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


def bare() -> Interpreter:
    """This process's own interpreter and its standard library, without asking it anything."""
    return Interpreter(sys.executable, platform.python_version())


def find(python: str, packages: Sequence[str] | None, preload: Sequence[str]) -> Interpreter:
    """The interpreter `python` (a path or a name; empty for this one) with the named packages, None for all that are
    installed there, and the modules of `preload`. Raises UserError.
    """
    if not (python or preload) and packages is not None and not packages:
        return bare()
    wanted = [*(packages or ())], [*preload], packages is None
    if python:
        path = _find_executable(python)
        found = _ask(python, path, wanted)
    else:
        path, found = sys.executable, installed.find(*wanted)
    if missing := found["missing"]:
        raise UserError(
            f"the sandbox's interpreter {path} has no {' and no '.join(missing)}, which this task's programs"
            " import: install it there, or name another environment's interpreter with --set judge.python=PATH"
        )
    visible = packages is None or bool(found["importable"])
    return Interpreter(
        path,
        found["python"],
        tuple(found["folders"]) if visible else (),
        tuple(found["importable"]) if packages is not None else (),
        found["packages"],
        tuple(found["absent"]),
    )


def _ask(python: str, path: str, wanted: tuple[list[str], list[str], bool]) -> dict[str, Any]:
    try:
        process = subprocess.run(
            [path, "-I", "-c", "import sys; print(*sys.version_info[:3], sep='.')"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        version = process.stdout.strip()
        old = tuple(map(int, version.split(".")[:2])) < MIN_VERSION
    except (OSError, subprocess.SubprocessError, ValueError):
        raise UserError(
            f"judge.python = {python!r} does not run as Python; expected a path like ENV/bin/python"
        ) from None
    if old:
        oldest = ".".join(map(str, MIN_VERSION))
        raise UserError(f"judge.python = {python!r} is Python {version}; the sandbox needs {oldest} or later")
    process = subprocess.run(
        [path, "-I", "-c", _ASK, installed.__file__, json.dumps(wanted)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if process.returncode:
        last = process.stderr.strip().rpartition("\n")[2]
        raise UserError(f"judge.python = {python!r}: what is installed there cannot be read: {last}")
    found: dict[str, Any] = json.loads(process.stdout)
    return found


def _find_executable(python: str) -> str:
    path = shutil.which(os.path.expanduser(python))
    if path is None:
        raise UserError(
            f"judge.python = {python!r}: no such program; expected a path like ENV/bin/python of a virtual environment"
        )
    return os.path.abspath(path)
