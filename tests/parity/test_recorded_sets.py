"""Every set of recorded outputs is on the page of parity, and some of its outputs are judged as the page says."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from harness.parity import certify
from harness.parity.recordings import ParitySet, Problems, RecordedOutput
from harness.parity.sets import SETS
from harness.sandbox.languages import toolchains
from harness.schema import Source
from tests.support.parity_page import LINES, NOT_RUN, OF_THE_MACHINE, PAGE, judged

SLOW = {"BigCodeBench/0"}  # its reference takes 17 s of CPU time, and it is run twice
FEW = 6  # outputs of a set that are judged where not all are, beside those with a known cause

each_set = pytest.mark.parametrize("which", SETS, ids=[each.name for each in SETS])


def test_the_page_and_the_sets_are_the_same() -> None:
    assert list(LINES) == [each.name for each in SETS]
    for each in SETS:
        explained = len(set(each.causes) - OF_THE_MACHINE)
        assert LINES[each.name][1] == LINES[each.name][0] - explained
        assert [name for name in each.causes if name not in PAGE] == []


@each_set
def test_some_of_a_set_is_judged_as_recorded(which: ParitySet, real_data: Path) -> None:
    def few(source: Source, problems: Problems) -> list[RecordedOutput]:
        outputs = list(which.outputs(source, problems))
        assert len(outputs) == LINES[which.name][0] + NOT_RUN.get(which.name, 0)
        known = [each for each in outputs if each.id in set(which.causes) - OF_THE_MACHINE]
        slow = OF_THE_MACHINE | SLOW
        quick = [each for each in outputs if each.id not in slow and each.verdict not in certify.TIMEOUTS]
        return [*islice(quick, 0, None, len(quick) // FEW), *known]

    rows, not_run, differ = judged(replace(which, outputs=few), real_data)
    assert rows
    assert not not_run or which.name in NOT_RUN
    assert differ == set(which.causes) - OF_THE_MACHINE


def test_a_set_whose_language_is_not_installed_is_left_out_with_what_to_install(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = toolchains.Toolchain("php", {}, "php")
    monkeypatch.setattr(toolchains, "toolchain", lambda language: missing)
    left = certify.Parity(SETS, ["multipl_e/php"], str(real_data)).left_out()
    assert left["multipl_e/php"].endswith("(Debian and Ubuntu: apt-get install php-cli).")
