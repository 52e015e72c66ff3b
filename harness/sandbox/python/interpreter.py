"""Which Python runs programs and tests: this one, or another virtual environment's, and what it has to offer.

A benchmark may be written for library versions that this environment cannot hold (DS-1000 wants pandas 1.5).
Nothing of the harness has to be installed in the other one: the sandbox's own files use the standard library
alone. What is found here is written into the run's record.
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

OLDEST = (3, 11)
# Of these the versions are told where they are installed: what a verdict of such a task may depend on.
_TOLD = ("numpy", "pandas", "scipy", "scikit-learn", "matplotlib", "sympy", "torch", "tensorflow")
_LOOK = """
import importlib.metadata, importlib.util, json, os, platform, sys, sysconfig
told, asked = json.loads(sys.argv[1]), json.loads(sys.argv[2])
paths = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
paths += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
versions = {}
for name in told:
    try:
        versions[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
missing = [name for name in asked if importlib.util.find_spec(name.partition(".")[0]) is None]
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
    """Ask the interpreter `python` (a path or a name; empty for this one) what it has. Raises UserError."""
    path = sys.executable if not python else _locate(python)
    try:
        done = subprocess.run(
            [path, "-I", "-c", _LOOK, json.dumps(_TOLD), json.dumps(list(preload))],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        version, told, paths, versions, missing = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        raise UserError(
            f"judge.python = {python!r} does not run as Python; expected a path like ENV/bin/python"
        ) from None
    if tuple(version) < OLDEST:
        raise UserError(
            f"judge.python = {python!r} is Python {told}; the sandbox needs {'.'.join(map(str, OLDEST))} or later"
        )
    if missing:
        raise UserError(
            f"the sandbox's interpreter {path} has no {' and no '.join(missing)}, which this task's programs"
            " import: install it there, or name another environment's interpreter with --set judge.python=PATH"
        )
    folders = dict.fromkeys(os.path.realpath(folder) for folder in paths if folder and os.path.isdir(folder))
    if not python:  # of this environment's many libraries only those that the task names
        named = {name.partition(".")[0] for name in preload}
        versions = {name: version for name, version in versions.items() if name in named}
    return Interpreter(path, tuple(folders), {"python": told, **versions})


def _locate(python: str) -> str:
    path = shutil.which(os.path.expanduser(python))
    if path is None:
        raise UserError(
            f"judge.python = {python!r}: no such program; expected a path like ENV/bin/python of a virtual environment"
        )
    return os.path.abspath(path)


def current(packages: Sequence[str]) -> Interpreter:
    """This process's own interpreter, where nothing has to be asked."""
    return Interpreter(sys.executable, tuple(packages), {"python": platform.python_version()})
