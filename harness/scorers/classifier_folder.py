"""A trained classifier of style on disk: the folder that `harness train-classifier` writes and `[style]` names.

    classifier.json   its kind, classes, digests of its weights and sources, and figures on texts it has not seen
    classifier.npz    kind ngram: logistic regression (style_classifier.py)
    encoder/          kind encoder: a sequence classifier of transformers with its tokenizer

Not here: how it is trained (harness/training/style/classifier.py).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import ConfigError, DataError, unknown

if TYPE_CHECKING:
    from harness.scorers.style_classifier import Classifier

RECORD, NGRAM, ENCODER = "classifier.json", "classifier.npz", "encoder"


@dataclass(frozen=True)
class StoredClassifier:
    """`classes` name the columns of what `classify` returns; `tokens` is how many an encoder reads, 0 without one."""

    folder: Path
    classify: "Classifier"
    classes: Sequence[str]
    tokens: int = 0

    def label(self, name: str) -> int:
        """The column of a class that it has."""
        return list(self.classes).index(name)


def read_record(folder: Path) -> dict[str, Any]:
    """The folder's classifier.json. Raises DataError."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder} holds no classifier ({RECORD}: {error}): make one with harness train-classifier"
        ) from None
    if not isinstance(found, dict) or not {"kind", "classes", "weights"} <= set(found):
        raise DataError(f"{folder / RECORD} is no record of a classifier")
    return found


def check_label(folder: Path, label: str, key: str) -> list[str]:
    """The folder's classes. Raises UserError where it holds no classifier, or none that knows the config's `key`."""
    classes: list[str] = read_record(folder)["classes"]
    if label not in classes:
        raise ConfigError(f"{key}: {unknown('class', label, classes)}")
    return classes


def digest(folder: Path) -> str:
    """Of the record, which holds that of the weights. Raises DataError."""
    read_record(folder)
    return hashlib.sha256((folder / RECORD).read_bytes()).hexdigest()[:16]


def weights_digest(folder: Path) -> str:
    """Of every file but the record, in the order of their names."""
    found = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != RECORD):
        found.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes())
    return found.hexdigest()


def load(folder: Path) -> StoredClassifier:
    """The classifier, ready to be called. Raises DataError where its files are not those of its record."""
    from harness.scorers import style_classifier

    record = read_record(folder)
    if weights_digest(folder) != record["weights"]:
        raise DataError(f"{folder}: the classifier's files are not those that its {RECORD} was written for")
    if record["kind"] == "encoder":
        tokens = int(record["tokens"])
        classify = style_classifier.load_pretrained(folder / ENCODER, tokens=tokens)
        return StoredClassifier(folder, classify, record["classes"], tokens)
    return StoredClassifier(folder, style_classifier.load(folder / NGRAM), record["classes"])


def write(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Write the record beside the weights that lie in the folder already; the record as written."""
    whole = {**record, "weights": weights_digest(folder)}
    (folder / RECORD).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return whole
