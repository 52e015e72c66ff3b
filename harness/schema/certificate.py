"""The judge's certificate: how often it agrees with verdicts that others recorded, and why not where it does not."""

from collections.abc import Mapping
from typing import Any

from harness.schema.base import Value

OF_TIME = (
    "a timeout on one side, here also when judged a second time, by itself: time decides, the machine's load and speed;"
    " judge it again on an idle machine"
)


class Disagreement(Value):
    """A recorded output that is judged otherwise here; `cause` is empty where nobody knows why."""

    id: str
    recorded: str
    own: str
    cause: str = ""


class CertifiedSet(Value):
    """One set of recorded outputs. `files`: SHA-256 of everything that was read, by its place in the data folder.
    `judge` is what run.json has of the judge; None where nothing was executed. `rows` were judged; `not_run`: why the
    others were not, by their ids. `second_try`: those that agree only since they were judged again, by themselves.
    """

    name: str
    task: str
    files: Mapping[str, str]
    judge: Mapping[str, Any] | None
    rows: int
    agreed: int
    disagreements: tuple[Disagreement, ...] = ()
    not_run: Mapping[str, str] = {}
    second_try: tuple[str, ...] = ()

    @property
    def of_time(self) -> tuple[Disagreement, ...]:
        return tuple(each for each in self.disagreements if each.cause == OF_TIME)

    @property
    def unexplained(self) -> tuple[Disagreement, ...]:
        return tuple(each for each in self.disagreements if not each.cause)


class Certificate(Value):
    """What `harness doctor --parity` writes. `left_out`: why a set that is known was not judged, by its name."""

    harness: str
    commit: str
    sets: tuple[CertifiedSet, ...] = ()
    left_out: Mapping[str, str] = {}
