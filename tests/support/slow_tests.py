"""Which tests are slow or long: those that tests/slow.txt and tests/long.txt list, by themselves or by a fixture that
they share. `make test-fast` runs neither, `make test` the slow ones too, `.ci/run` all.

    python -m pytest --junit-xml=times.xml ... && python -m tests.support.slow_tests times.xml

writes the lists anew from measured times: the functions whose cases take longer than LIMIT_S together, or LONG_S, and
the fixtures of a module or a session that do. A shared fixture is not counted for the test that happens to come first.
"""

import sys
from collections import Counter, defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.paths import ROOT

FILE = ROOT / "tests" / "slow.txt"
LONG = ROOT / "tests" / "long.txt"
LIMIT_S, LONG_S = 0.3, 12.0  # measured while two processes share two cores
FIXTURE = "shared fixture"  # the junit property that tests/conftest.py records


def listed(file: Path = FILE) -> set[str]:
    return set(file.read_text(encoding="utf-8").split())


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
    seconds: Counter[str] = Counter()
    for file in sys.argv[1:]:
        seconds |= Counter(measured(Path(file)))
    for file, limit in ((FILE, LIMIT_S), (LONG, LONG_S)):
        above = sorted(name for name, total in seconds.items() if total > limit)
        file.write_text("\n".join(above) + "\n", encoding="utf-8")
        rest = sum(total for total in seconds.values() if total <= limit)
        print(
            f"{len(above)} of {len(seconds)} tests and fixtures take more than {limit} s; the others {rest:.0f} s"
        )


if __name__ == "__main__":
    main()
