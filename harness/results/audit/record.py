"""What an audit found, as it lies in audit.json; and the line that a reader of the run's number has to see."""

from collections.abc import Sequence

from harness.results.audit.parse_failures import ParseFailures
from harness.results.report.tables import figure
from harness.schema import Estimate, Value


class ReadingFlip(Value):
    """A sample that is worth something else when it is read otherwise. `diff` is of the answers, for those shown."""

    problem_id: str
    index: int
    own_status: str
    own_value: float
    status: str
    value: float
    diff: str = ""


class ReadingResult(Value):
    """What another extractor would have given: `differ` answers are not the run's own, `judged` had to be judged.

    `estimate` is None where nothing could be judged.
    """

    extractor: str
    differ: int
    judged: int
    faults: int
    estimate: Estimate | None
    flips: tuple[ReadingFlip, ...]


class Audit(Value):
    """audit.json. `samples` were made, `read` of them are raw outputs, in which an answer has to be found.

    `note` is what a reader of the run's number has to know of it; empty is nothing.
    """

    run_id: str
    task: str
    metric: str
    extractor: str
    estimate: Estimate
    samples: int
    read: int
    spread: float
    readings: tuple[ReadingResult, ...]
    parsing: ParseFailures
    note: str = ""

    @property
    def faults(self) -> int:
        return sum(one.faults for one in self.readings)


def spread(own: Estimate, others: Sequence[ReadingResult]) -> float:
    """How far the extractors lie apart, the run's own among them."""
    values = [own.value, *(one.estimate.value for one in others if one.estimate)]
    return max(values) - min(values)


def note(audit: Audit) -> str:
    """One line where the choice of the extractor matters more than the choice of problems, or reading fails."""
    found, own = [], audit.estimate
    half = (own.high - own.low) / 2
    others = [(one.estimate.value, one.extractor) for one in audit.readings if one.estimate]
    if audit.spread > half and others:
        rows = [(own.value, audit.extractor), *others]
        (low, lowest), (high, highest) = (pick(rows, key=lambda row: row[0]) for pick in (min, max))
        found.append(
            f"how answers are read moves {audit.metric} from {figure(own.unit, low)} ({lowest}) to"
            f" {figure(own.unit, high)} ({highest}), more than half its interval ({figure(own.unit, half)})"
        )
    if (most := audit.parsing.most) is not None:
        found.append(
            f"{most[1]} of {audit.parsing.answers} answers do not parse or compile for one reason ({most[0]})"
        )
    return f"{'; '.join(found)}: see harness audit" if found else ""
