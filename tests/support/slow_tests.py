"""Which tests are slow: those that tests/slow.txt lists. `make test-fast` leaves them out, `make test` runs all.

    python -m pytest --junit-xml=times.xml ... && python -m tests.support.slow_tests times.xml

writes the list anew from measured times: the functions whose cases take longer than LIMIT_S together.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from tests.support.paths import ROOT

FILE = ROOT / "tests" / "slow.txt"
LIMIT_S = 0.5  # measured while two processes share two cores


def listed() -> set[str]:
    return set(FILE.read_text(encoding="utf-8").split())


def function(node_id: str) -> str:
    """The test function of a node id: tests/a/test_b.py::test_c of tests/a/test_b.py::test_c[1]."""
    return node_id.partition("[")[0]


def measured(junit: Path) -> dict[str, float]:
    """Seconds by test function, in a file that pytest wrote with --junit-xml."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(junit).iter("testcase"):
        path = case.attrib["classname"].replace(".", "/") + ".py"
        seconds[function(f"{path}::{case.attrib['name']}")] += float(case.attrib["time"])
    return seconds


def main() -> None:
    seconds = measured(Path(sys.argv[1]))
    slow = sorted(name for name, total in seconds.items() if total > LIMIT_S)
    FILE.write_text("\n".join(slow) + "\n", encoding="utf-8")
    rest = sum(total for name, total in seconds.items() if name not in slow)
    print(f"{len(slow)} of {len(seconds)} test functions are slow; the others take {rest:.0f} s together")


if __name__ == "__main__":
    main()
