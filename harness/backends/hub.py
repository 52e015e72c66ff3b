"""Where a model's files are and what identifies them: a folder or hub id -> folder, commit, digest. Loads nothing.

Models and encoders are found alike: a folder, or a hub id that is in the hub cache. The network is never asked.
"""

import hashlib
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from harness.errors import UserError

BLOCK = 1 << 22
SETTLED_NS = 2 * 10**9  # file times are coarse: what was written just now may be written again with the same


def find(model: str, revision: str | None, kind: str = "model") -> tuple[Path, str]:
    """The folder and its revision: of a hub id the commit, of a folder none (""). `kind` is for messages."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UserError(f"{kind} {model!r} is a folder, which has no revisions: drop its revision")
        return folder, ""
    if folder.exists() or folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise UserError(
            f"{kind} folder {model!r} does not exist{' (it is a file)' if folder.exists() else ''}"
        )
    return _cached(model, revision, kind)


def _cached(model: str, revision: str | None, kind: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        found = Path(snapshot_download(model, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        at = f" --revision {revision}" if revision else ""
        raise UserError(
            f"no {kind} {model!r}: it is not a folder here, and the hub cache does not hold"
            f" {'it' if revision is None else f'its revision {revision}'};"
            f" give a folder, or fetch it first with: hf download {model}{at}"
        ) from None
    return found, found.name


def digest(files: Sequence[Path]) -> str:
    """SHA-256 over the names and contents of files. Those of the hub cache are named by their own SHA-256."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        lines = pool.map(
            lambda path: f"{path.name} {_sha256(path)}\n", sorted(files, key=lambda path: path.name)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def _sha256(path: Path) -> str:
    blob = path.resolve()
    if blob.parent.name == "blobs" and len(blob.name) == 64:
        return blob.name
    now = blob.stat()
    if time.time_ns() - max(now.st_mtime_ns, now.st_ctime_ns) < SETTLED_NS:
        return sha256(blob)
    return _settled_sha256(blob, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@lru_cache(maxsize=4096)
def _settled_sha256(path: Path, *state: int) -> str:
    """A study asks for the digest of its base with each cell; the `state` of the file tells of a change."""
    del state
    return sha256(path)


def sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
    return found.hexdigest()
