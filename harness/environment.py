"""Where a run was made: versions, hardware, commit, and a model's short name. Recorded, never compared."""

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from harness import __version__
from harness.config import plugins
from harness.config.backend import BackendConfig

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "sentence-transformers",
    "faiss-cpu",
    "bm25s",
    "numpy",
    "tree-sitter",
    "tree-sitter-python",
    "pydantic",
)


def model_name(backend: BackendConfig) -> str:
    """A short name for folders and tables: the last part of the model's path, or of the recording's.

    A folder called `model` says nothing and gives way to its parent; `checkpoint-500` gets it in front.
    """
    path = Path(backend.path if backend.kind == "replay" else backend.model)
    name = path.name.split(".")[0] if backend.kind == "replay" else path.name
    if path.parent.name and name in {"model", "samples", "completions", "generations"}:
        name = path.parent.name
    elif path.parent.name and re.fullmatch(r"final|last|best|checkpoint-\d+", name):
        name = f"{path.parent.name}-{name}"
    return _plain(name) or plugin_name(backend.kind)


def run_name(backend: BackendConfig) -> str:
    """The model's name and, behind it, its adapter's: no run of an adapter is filed under the base alone."""
    adapter = Path(backend.adapter.partition("@")[0]).name
    return "-".join(part for part in (model_name(backend), _plain(adapter)) if part)


def plugin_name(name: str) -> str:
    """The same for what may be a third party's: "mine-boxed" of "there/mine.py:boxed"."""
    file, attribute = plugins.split(name)
    return _plain(f"{Path(file).name.removesuffix('.py')} {attribute}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")


def here() -> dict[str, Any]:
    return {"versions": versions(), "hardware": hardware(), "commit": commit()}


def versions() -> dict[str, str]:
    found = {"harness": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = _version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _version(package: str) -> str:
    """As importlib.metadata.version says, which parses all of a package's long description for it."""
    installed = distribution(package)
    line = re.search(r"^Version: (\S+)", installed.read_text("METADATA") or "", re.MULTILINE)
    return line[1] if line else installed.version


def hardware() -> dict[str, Any]:
    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def commit() -> str:
    """The commit of this project's checkout, '+' appended when files differ from it; empty when installed."""
    folder = Path(__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    lines = done.stdout.splitlines()
    head = next(line.split()[-1] for line in lines if line.startswith("# branch.oid "))
    return head + ("+" if any(not line.startswith("#") for line in lines) else "")
