"""A judge's certificate read again, and what a signature says of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import __version__
from harness.config.identity import digest, placeless
from harness.errors import ConfigError, DataError
from harness.files import decode, read
from harness.schema import Certificate


def load(path: Path) -> Certificate:
    """Raises DataError for a file that is none."""
    try:
        return Certificate.model_validate_json(decode(read(path), path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise DataError(
            f"{path}: no certificate of harness doctor --parity: {where}: {first['msg']}"
        ) from None


def short(certificate: Certificate) -> str:
    """The digest that signatures have."""
    return digest(certificate.model_dump(mode="json"))[:8]


def certified(path: str, task: str, judge: Mapping[str, Any] | None) -> str:
    """ "certificate 1a2b3c4d 491/492": the certificate, and how many recorded outputs of this task agree; "" of none.

    Raises ConfigError where it is about another version of the harness or another judge than this run has.
    """
    if not path:
        return ""
    found = load(Path(path).expanduser())
    if found.harness != __version__:
        raise ConfigError(
            f"judge.certificate {path}: it is about harness {found.harness}, this is {__version__}:"
            " make it again with 'harness doctor --parity DATA'"
        )
    sets = [each for each in found.sets if each.task == task and _speaks(each.judge, judge)]
    for each in sets:
        if each.judge is not None and judge is not None and _same(each.judge) != _same(judge):
            raise ConfigError(
                f"judge.certificate {path}: {each.name} was judged with {_same(each.judge)}, this run judges with"
                f" {_same(judge)}: make it again with this judge"
            )
    agreed, rows = sum(each.agreed for each in sets), sum(each.rows for each in sets)
    unknown = sum(len(each.unexplained) for each in sets)
    not_run = sum(len(each.not_run) for each in sets)
    counts = "no set of this task"
    if sets:
        counts = f"{agreed}/{rows}"
        counts += f" {unknown} unexplained" if unknown else ""
        counts += f" {not_run} not run" if not_run else ""
    return f"certificate {short(found)} {counts}"


def _speaks(own: Mapping[str, Any] | None, judge: Mapping[str, Any] | None) -> bool:
    """Whether a set's answers are in the run's languages: another language's says nothing of the run's compiler."""
    return own is None or judge is None or own["versions"].keys() == judge["versions"].keys()


def _same(judge: Mapping[str, Any]) -> Any:
    """The judge as comparisons see it: both isolating sandboxes are one. Without the lock of the environment, which
    names the versions that `installed` has.
    """
    return placeless({"judge": {name: value for name, value in judge.items() if name != "lock"}})["judge"]
