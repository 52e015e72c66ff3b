"""Which tests are slow: those that tests/slow.txt lists, by themselves or by a fixture that they share.
`make test-fast` leaves them out, `make test` runs all.

    python -m pytest --junit-xml=times.xml ... && python -m tests.support.slow_tests times.xml

writes the list anew from measured times: the functions whose cases take longer than LIMIT_S together, and the
fixtures of a module or a session that do. A shared fixture is not counted for the test that happens to come first.
"""

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.paths import ROOT

FILE = ROOT / "tests" / "slow.txt"
LIMIT_S = 0.3  # measured while two processes share two cores
FIXTURE = "shared fixture"  # the junit property that tests/conftest.py records


def listed() -> set[str]:
    return set(FILE.read_text(encoding="utf-8").split())


def function(node_id: str) -> str:
    """The test function of a node id: tests/a/test_b.py::test_c of tests/a/test_b.py::test_c[1]."""
    return node_id.partition("[")[0]


def names(item: pytest.Item) -> set[str]:
    """Under which a test may be listed: its function and the fixtures it uses, each with the file that defines it."""
    fixtures = getattr(item, "_fixtureinfo", None)
    defined = fixtures.name2fixturedefs.values() if fixtures else ()
    return {function(item.nodeid), *(fixture_name(each[-1].baseid, each[-1].argname) for each in defined)}


def fixture_name(base_id: str, name: str) -> str:
    return f"{base_id}::{name}"


def measured(junit: Path) -> dict[str, float]:
    """Seconds by test function and by shared fixture, in a file that pytest wrote with --junit-xml."""
    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(junit).iter("testcase"):
        path = case.attrib["classname"].replace(".", "/") + ".py"
        shared = [each.attrib["value"] for each in case.iter("property") if each.attrib["name"] == FIXTURE]
        seconds[function(f"{path}::{case.attrib['name']}")] += float(case.attrib["time"])
        for value in shared:
            name, _, took = value.rpartition(" ")
            seconds[name] += float(took)
            seconds[function(f"{path}::{case.attrib['name']}")] -= float(took)
    return seconds


def main() -> None:
    seconds = measured(Path(sys.argv[1]))
    slow = sorted(name for name, total in seconds.items() if total > LIMIT_S)
    FILE.write_text("\n".join(slow) + "\n", encoding="utf-8")
    rest = sum(total for name, total in seconds.items() if name not in slow)
    print(
        f"{len(slow)} of {len(seconds)} test functions and shared fixtures are slow; the others take {rest:.0f} s"
    )


if __name__ == "__main__":
    main()
