"""Which Python runs programs and tests: this one or another virtual environment's, and what is installed there.

A benchmark may need library versions that this environment cannot have (DS-1000 needs pandas 1.5). The harness does not
have to be installed in the other environment: what the sandbox runs there needs only the standard library. The versions
found are written into the run's record.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import UserError

MIN_VERSION = (3, 11)
# Libraries whose versions are recorded where they are installed: verdicts may depend on them.
_REPORTED = ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "sympy", "torch", "tensorflow")
_PROBE = """
import importlib.metadata, importlib.util, json, os, platform, sys, sysconfig
reported, required = json.loads(sys.argv[1]), json.loads(sys.argv[2])
paths = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
paths += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
versions = {}
for name in reported:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
missing = [name for name in required if importlib.util.find_spec(name.partition(".")[0]) is None]
print(json.dumps([list(sys.version_info[:2]), platform.python_version(), paths, versions, missing]))
"""


@dataclass(frozen=True)
class Interpreter:
    """`packages`: folders of installed packages, which programs may import from. `versions`: name -> version,
    python first."""

    path: str
    packages: tuple[str, ...]
    versions: Mapping[str, str] = field(default_factory=dict)


def probe(python: str, preload: Sequence[str]) -> Interpreter:
    """Ask the interpreter `python` (a path or a name; empty for this one) what is installed. Raises UserError."""
    path = sys.executable if not python else _find_executable(python)
    try:
        process = subprocess.run(
            [path, "-I", "-c", _PROBE, json.dumps(_REPORTED), json.dumps(list(preload))],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        version, version_text, paths, versions, missing = json.loads(process.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise UserError(
            f"judge.python = {python!r} does not run as Python; expected a path like ENV/bin/python"
        ) from None
    if tuple(version) < MIN_VERSION:
        oldest = ".".join(map(str, MIN_VERSION))
        raise UserError(
            f"judge.python = {python!r} is Python {version_text}; the sandbox needs {oldest} or later"
        )
    if missing:
        raise UserError(
            f"the sandbox's interpreter {path} has no {' and no '.join(missing)}, which this task's programs"
            " import: install it there, or name another environment's interpreter with --set judge.python=PATH"
        )
    folders = dict.fromkeys(os.path.realpath(folder) for folder in paths if folder and os.path.isdir(folder))
    if not python:  # of this environment's libraries, only those that the task names
        named = {name.partition(".")[0] for name in preload}
        versions = {name: version for name, version in versions.items() if name in named}
    return Interpreter(path, tuple(folders), {"python": version_text, **versions})


def _find_executable(python: str) -> str:
    path = shutil.which(os.path.expanduser(python))
    if path is None:
        raise UserError(
            f"judge.python = {python!r}: no such program; expected a path like ENV/bin/python of a virtual environment"
        )
    return os.path.abspath(path)


def current(packages: Sequence[str]) -> Interpreter:
    """This process's own interpreter, without asking it anything."""
    return Interpreter(sys.executable, tuple(packages), {"python": platform.python_version()})
