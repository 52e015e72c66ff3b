"""What the page of parity says of each set of recorded outputs, and how its outputs are judged here."""

import re
from pathlib import Path

import pytest

from harness.config.run import JudgeConfig
from harness.parity import certify
from harness.parity.recordings import ParitySet
from harness.parity.sets import SETS
from harness.tasks.loading import data_files
from tests.support import polyglot_programs
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
LINES = {
    name: (int(rows.replace(",", "")), int(agree.replace(",", "")))
    for name, rows, agree in re.findall(
        r"^\| `([\w./-]+)` \|[^|]+\| ([\d,]+) \| ([\d,]+) \| \d{4}-\d\d-\d\d \|$", PAGE, re.MULTILINE
    )
}
NOT_RUN = {
    name: int(count.replace(",", ""))
    for name, count in re.findall(r"^\| `([\w./-]+)` \|[^|]+ ([\d,]+) others not run", PAGE, re.MULTILINE)
}  # outputs whose libraries the Python of these tests has not
# What these decide is a clock: on a fast machine they agree.
OF_THE_MACHINE = {"Mbpp/599"}
# Sets whose outputs take seconds each: a quarter is judged where others are judged whole.
LARGE = [each for each in SETS if each.needs or each.name.startswith("bigcodebench/")]


def judged(which: ParitySet, data: Path) -> tuple[int, int, set[str]]:
    """How many outputs were judged and how many not run, and those whose verdict is another than the recorded one."""
    if which.needs and polyglot_programs.missing(which.needs):
        pytest.skip(polyglot_programs.missing(which.needs))
    found = certify.replay(which, data_files.open_source(str(data)), JudgeConfig())
    assert found.unexplained == found.of_time == ()
    return found.rows, len(found.not_run), {each.id for each in found.disagreements}


def assert_whole(which: ParitySet, data: Path) -> None:
    """All outputs of the set agree but for those whose causes the page names."""
    rows, not_run, differ = judged(which, data)
    assert (rows, not_run) == (LINES[which.name][0], NOT_RUN.get(which.name, 0))
    assert differ - OF_THE_MACHINE == set(which.causes) - OF_THE_MACHINE
