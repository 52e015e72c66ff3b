"""Which of a run's problems its adapter, or its model, was trained on: told from the digests that trainings leave.

What was trained elsewhere has no digests and is not judged. That the same is true of shots is few_shot.py's to see to.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.backends import hub
from harness.config.backend import BackendConfig
from harness.errors import UserError
from harness.schema import Problem
from harness.text import seen_rows

SHOWN = 5  # problems named in a note


def find(config: BackendConfig, problems: Sequence[Problem]) -> dict[str, Any]:
    """What run.json says: who was trained on which of the problems; {} if nobody was, or nobody knows.

    Raises UserError for a damaged file of digests.
    """
    folders = {config.adapter: _folder(config.adapter), config.model: Path(config.model).expanduser()}
    for trained, folder in folders.items():
        file = folder / seen_rows.FILE
        if not trained or not file.is_file():
            continue
        try:
            seen = seen_rows.from_bytes(file.read_bytes())
        except ValueError as error:
            raise UserError(f"{file} cannot be read: {error}; delete it, and nothing is checked") from None
        exact, near = seen_rows.find(seen, [(p.question, p.solution) for p in problems])
        if exact or near:
            return {
                "trained": Path(trained).name,
                "rows": seen.rows,
                "exact": [problems[i].id for i in exact],
                "near": [problems[i].id for i in near],
                **({"left_out": seen.left_out} if seen.left_out else {}),
            }
    return {}


def note(record: Mapping[str, Any]) -> str:
    """One line for people about what run.json says; "" where it says nothing."""
    if not (found := record.get("contamination")):
        return ""
    names = [*found["exact"], *found["near"]]
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    left = f"; {found['left_out']}" if "left_out" in found else ""
    return (
        f"contaminated: {found['trained']} was trained on {len(names)} of these {record['problems']} problems"
        f" ({len(found['exact'])} exactly, {len(found['near'])} nearly, among {found['rows']:,} rows): {shown}{left}"
    )


def _folder(name: str) -> Path:
    """Where a folder's name or a hub id (owner/name@COMMIT) leads; the name itself where it leads nowhere."""
    folder = Path(name).expanduser()
    repo, _, revision = name.partition("@")
    if folder.exists() or repo.count("/") != 1:
        return folder
    try:
        return hub.find(repo, revision or None)[0]
    except UserError:  # a server's name for it
        return folder
