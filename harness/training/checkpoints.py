"""Which of the Trainer's checkpoints are complete: a kill can come while one is written, and while one is deleted.

The Trainer writes a folder file by file, and deletes the oldest one in the same way before anyone hears of the
new one. So a list of its files and their sizes goes into each folder last, under a name of its own; a folder
whose files are not all there as listed is torn.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "checkpoints"
STATE = "harness.json"


def mark_complete(folder: Path, usage: Mapping[str, Any]) -> None:
    """Record that this checkpoint is complete, and what the training has used so far."""
    part = folder / f"{STATE}.part"
    sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path != part}
    sizes.pop(STATE, None)
    part.write_text(json.dumps({"files": sizes, "used": dict(usage)}), encoding="utf-8")
    part.replace(folder / STATE)


def latest_complete(folder: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The newest complete checkpoint below `folder` and what had been used by then; torn ones are deleted.

    They must go: the Trainer counts them among those it keeps, and would delete a complete one for them.
    """
    found: dict[int, tuple[Path, Mapping[str, Any]]] = {}
    for path in folder.glob("checkpoint-*"):
        usage = _read_usage(path)
        if usage is None:
            shutil.rmtree(path, ignore_errors=True)  # another process may be at it too
        else:
            found[int(path.name.rsplit("-", 1)[1])] = (path, usage)
    return found[max(found)] if found else (None, {})


def _read_usage(folder: Path) -> Mapping[str, Any] | None:
    """What a complete checkpoint says was used; None for a torn one."""
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in state["files"].items())
    except (FileNotFoundError, ValueError, KeyError):
        return None
    used: Mapping[str, Any] = state["used"]
    return used if whole else None
