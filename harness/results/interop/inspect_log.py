"""Logs of Inspect, version 2: JSON, or an `.eval` archive (zip of JSON: header.json and a file a sample).

Inspect's package is not needed. What it packed with Zstandard is unpacked by pyarrow before Python 3.14.
"""

import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import files
from harness.errors import DataError
from harness.files import decode, parse_json
from harness.results.external import ExternalItem, ExternalResult, ReportedMetric
from harness.results.interop.imported import Completions, ImportedTask, digest, is_number

ZSTANDARD = 93  # zip's number for that compression
GRADES: Mapping[str, float] = {
    "C": 1.0,
    "P": 0.5,
    "I": 0.0,
    "N": 0.0,
}  # Inspect's grades, with the values its accuracy gives them
SAMPLE = re.compile(r"samples/.*_epoch_(\d+)\.json$")


def archive(path: Path, sha: str) -> ImportedTask:
    """An `.eval` file; one sample is in memory at a time. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as zipped:
            names = zipped.namelist()
            if "header.json" not in names:
                raise DataError(
                    f"{path}: an archive of Inspect without header.json: its evaluation was not finished"
                )
            epochs = {name: int(found[1]) for name in names if (found := SAMPLE.search(name))}
            samples = (_member(path, zipped, name) for name in sorted(epochs, key=epochs.__getitem__))
            return log(path, _member(path, zipped, "header.json"), sha, samples)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError) as error:
        # RuntimeError: encrypted, or of a version that zipfile does not read; OSError: bzip2
        raise DataError(f"{path}: damaged archive of Inspect ({error})") from None


def _member(path: Path, zipped: zipfile.ZipFile, name: str) -> Any:
    info = zipped.getinfo(name)
    if info.file_size > files.MOST_UNPACKED:  # no more than this is unpacked, whatever there is
        raise DataError(f"{path}, {name}: {files.TOO_LARGE}")
    try:
        blob = zipped.read(info)
    except NotImplementedError:
        if info.compress_type != ZSTANDARD:
            raise DataError(
                f"{path}, {name}: compressed in a way that is not known ({info.compress_type})"
            ) from None
        blob = _zstandard(path, info)
    return parse_json(decode(blob, path), f"{path}, {name}")


def _zstandard(path: Path, info: zipfile.ZipInfo) -> bytes:
    """A member that Python's zipfile cannot unpack before 3.14: its bytes follow its own header of 30 bytes, name and
    extra field."""
    import pyarrow

    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<26x2H", file.read(30))
        file.seek(name_length + extra_length, os.SEEK_CUR)
        packed = file.read(info.compress_size)
    try:
        return bytes(pyarrow.decompress(packed, decompressed_size=info.file_size, codec="zstd", asbytes=True))
    except OSError as error:
        raise DataError(f"{path}, {info.filename}: damaged ({error})") from None


def log(path: Path, plain: Mapping[str, Any], sha: str, samples: Iterable[Mapping[str, Any]]) -> ImportedTask:
    """A log whose samples, ordered by epoch, are given apart."""
    if plain["version"] != 2:
        raise DataError(f"{path}: Inspect's log of version {plain['version']}; only version 2 is supported")
    if plain["status"] != "success":
        raise DataError(
            f"{path}: Inspect's log has status {plain['status']!r}; only finished logs can be imported"
        )
    info = plain["eval"]
    figures, means = _figures(plain["results"]["scores"])
    items, completions = _items(path, samples, means)
    return (
        ExternalResult(
            tool="inspect",
            tool_version=str(info.get("packages", {}).get("inspect_ai", "")),
            task=info["task"],
            model=info["model"],
            source=str(path),
            sha256=sha,
            n=len(items) or len(info["dataset"].get("sample_ids") or ()),
            shots=None,
            conditions={
                "task version": info.get("task_version"),
                "task arguments": info.get("task_args", {}),
                "epochs": info["config"].get("epochs", 1),
                "generation": info.get("model_generate_config", {}),
            },
            metrics=figures,
            items=items,
            no_items="" if items else "its log has no samples (--log-samples writes them)",
        ),
        completions,
    )


def _figures(scores: Sequence[Mapping[str, Any]]) -> tuple[dict[str, ReportedMetric], dict[str, str]]:
    """The metrics as reported, and of each scorer the metric that is the mean of its items."""
    figures: dict[str, ReportedMetric] = {}
    means: dict[str, str] = {}
    for score in scores:
        metrics = {m["name"].rpartition("/")[2]: m["value"] for m in score["metrics"].values()}
        for name, value in metrics.items():
            if name != "stderr" and is_number(value):
                figures[f"{score['name']}/{name}"] = ReportedMetric(
                    value=float(value),
                    stderr=metrics["stderr"] if is_number(metrics.get("stderr")) else None,
                    unit="share" if 0 <= value <= 1 else "number",
                )
        mean = next((name for name in ("accuracy", "mean") if name in metrics), "")
        if mean and score.get("reducer") in (None, "mean"):
            means[score["name"]] = f"{score['name']}/{mean}"
    return figures, means


def _items(
    path: Path, samples: Iterable[Mapping[str, Any]], means: Mapping[str, str]
) -> tuple[dict[str, ExternalItem], Completions]:
    """Each item's values by metric, epoch by epoch, and the completions in the same order."""
    items: dict[str, ExternalItem] = {}
    completions: Completions = []
    for sample in samples:
        name = str(sample["id"])
        shown = [
            [m["role"], m["content"]]
            for m in sample.get("messages", ())
            if m.get("source") != "generate" and m["role"] != "tool"
        ]
        before = items.get(name)
        values = {k: list(v) for k, v in before.values.items()} if before else {}
        for scorer, metric in means.items():
            grade = _grade((sample.get("scores") or {}).get(scorer, {}).get("value"))
            if grade is not None:
                values.setdefault(metric, []).append(grade)
        asked = digest([sample["input"], sample["target"]])
        if before and before.asked != asked:
            raise DataError(f"{path}: sample {name} occurs twice with different inputs")
        items[name] = ExternalItem(asked=asked, prompt=digest(shown), values=values)
        completions.append({"task_id": name, **_said(sample)})
    return items, completions


def _said(sample: Mapping[str, Any]) -> dict[str, str]:
    """The text, and what the model thought before it."""
    output = sample["output"]
    text = output.get("completion", "")
    content = [part for choice in output.get("choices", ())[:1] for part in choice["message"]["content"]]
    parts = [part for part in content if isinstance(part, dict)]
    reasoning = "".join(part["reasoning"] for part in parts if part.get("type") == "reasoning")
    return {"text": text, "reasoning": reasoning} if reasoning else {"text": text}


def _grade(value: Any) -> float | None:
    """Inspect's value of a sample as a number; None if it is neither a grade nor a number."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        return GRADES.get(value)
    return float(value) if is_number(value) else None
