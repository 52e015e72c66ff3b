"""What is installed in a Python environment, and which of it a set of named distributions brings with it.

    find(names, modules, everything)   in this process, or run from its path by another environment's interpreter

Nothing but the standard library, because the other environment need not have the harness.
"""

import importlib.util
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, distributions
from typing import Any


def folders() -> list[str]:
    """Where this interpreter finds installed packages."""
    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    paths += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if path and os.path.isdir(path)))


def find(names: Sequence[str], modules: Sequence[str], everything: bool) -> dict[str, Any]:
    """The named distributions, and with `everything` all, with what they require: `packages` (name -> version) and
    the `importable` names at the top of their files. `modules` have to be there, else they are `missing`.
    """
    where = folders()
    chosen = _all(where) if everything else _with_required([*names, *map(_top, modules)], where)
    importable = {name for each in chosen.values() for name in _importable(each)}
    missing = [name for name in modules if importlib.util.find_spec(_top(name)) is None]
    return {
        "python": platform.python_version(),
        "folders": where,
        "packages": {name: chosen[name].version for name in sorted(chosen)},
        "importable": sorted({*importable, *map(_top, modules)}),
        "absent": [name for name in names if _plain(name) not in chosen],
        "missing": missing,
    }


def _top(module: str) -> str:
    return module.partition(".")[0]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _all(where: Sequence[str]) -> dict[str, Distribution]:
    return {_plain(each.metadata["Name"]): each for each in distributions(path=[*where])}


def _with_required(names: Sequence[str], where: Sequence[str]) -> dict[str, Distribution]:
    """Those that are installed of the named ones and of what they require, without extras."""
    found: dict[str, Distribution] = {}
    waiting = [*names]
    while waiting:
        name = _plain(waiting.pop())
        here = None if name in found else next(iter(distributions(name=name, path=[*where])), None)
        if here is not None:
            found[name] = here
            waiting += _required(here)
    return found


def _required(here: Distribution) -> Iterator[str]:
    for line in here.requires or ():
        requirement, _, marker = line.partition(";")
        name = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", requirement)
        if name and not re.search(r"\bextra\b", marker):
            yield name[0]


def _importable(here: Distribution) -> Iterator[str]:
    record = here.read_text("RECORD")
    if record is None:
        yield from (
            here.read_text("top_level.txt") or _plain(here.metadata["Name"]).replace("-", "_")
        ).split()
        return
    for path in {line.partition(",")[0].partition("/")[0] for line in record.splitlines()}:
        name, _, suffix = path.partition(".")
        if name.isidentifier() and (not suffix or suffix.endswith(("py", "so"))):
            yield name
