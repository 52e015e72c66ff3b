"""What identifies a training on any machine: its config with digests where files and folders stand.

So the same training has the same id wherever its model and its rows lie. It is not the identity of the weights that
come of it: these depend on the machine's arithmetic too.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.backends import hub
from harness.backends.hf import checkpoint
from harness.config import plugins
from harness.config.identity import digest
from harness.scorers.classifier_folder import RECORD
from harness.training.config import TrainConfig

INCIDENTAL = {"name", "device", "data_folder", "trackers", "log_every"}  # they change no weights


def config_hash(config: TrainConfig) -> str:
    """First 16 hex digits of the SHA-256 of everything that can change the weights.

    What is not here yet, or is a hub id, stands for itself.
    """
    plain: dict[str, Any] = config.model_dump(mode="json", exclude=INCIDENTAL)
    folder = Path(config.model).expanduser()
    if (folder / "config.json").is_file():
        plain["model"] = {
            "weights": _weights(folder, _stamp(folder)),
            "tokenizer": checkpoint.tokenizer_digest(folder),
        }
    if config.watch is not None and (record := Path(config.watch.classifier).expanduser() / RECORD).is_file():
        plain["watch"]["classifier"] = hub.sha256(record)
    for each in plain["data"]:
        for key in ("file", "validation"):
            each[key] = _content(each[key])
        if plugins.is_file(each["task"]):
            each["task"] = _content(plugins.split(each["task"])[0])
    return digest(plain)


def _content(value: Any) -> Any:
    path = Path(value).expanduser() if isinstance(value, str) and value else None
    return hub.sha256(path) if path is not None and path.is_file() else value


def _stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    files = [folder / "config.json", *checkpoint.weight_files(folder)]
    found = [(path, path.stat()) for path in files]
    return tuple((path.name, stat.st_size, stat.st_mtime_ns) for path, stat in found)


@lru_cache(maxsize=8)
def _weights(folder: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    """Hashed once while the files are the same: gigabytes, asked for several times in a training."""
    del stamp
    return checkpoint.weights_digest(folder)
