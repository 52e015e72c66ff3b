"""A quarter of the sets whose outputs take seconds each, other languages and BigCodeBench, agrees as the page says."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.parity.recordings import ParitySet, Problems, RecordedOutput
from harness.schema import Source
from tests.support.parity_page import LARGE, NOT_RUN, OF_THE_MACHINE, judged

SHARE = 4  # every fourth output, beside those with a known cause


@pytest.mark.timeout(1800)  # on a busy machine
@pytest.mark.parametrize("which", LARGE, ids=[each.name for each in LARGE])
def test_a_quarter_of_a_set_agrees_as_the_page_says(which: ParitySet, real_data: Path) -> None:
    def quarter(source: Source, problems: Problems) -> list[RecordedOutput]:
        outputs = list(which.outputs(source, problems))
        return [each for i, each in enumerate(outputs) if i % SHARE == 0 or each.id in which.causes]

    rows, not_run, differ = judged(replace(which, outputs=quarter), real_data)
    assert rows
    assert not not_run or which.name in NOT_RUN
    assert differ - OF_THE_MACHINE == set(which.causes) - OF_THE_MACHINE
