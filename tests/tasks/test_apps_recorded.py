"""APPS' recorded samples beyond their verdicts, which are sets of harness/parity."""

from dataclasses import replace
from pathlib import Path

from harness.config.run import JudgeConfig
from harness.parity import certify, recorded_files
from harness.parity.sets import SETS
from harness.tasks.loading import data_files
from tests.support.command import rows


def test_comparing_strictly_changes_no_trustworthy_verdict(real_data: Path) -> None:
    (mapcoder,) = (each for each in SETS if each.name == "apps/mapcoder-chatgpt")
    strict = replace(mapcoder, options={**mapcoder.options, "compare": "strict"})
    found = certify.replay(strict, data_files.open_source(str(real_data)), JudgeConfig())
    assert (found.rows, found.agreed) == (46, 46)


def test_nine_of_mapcoders_verdicts_differ_from_the_recheck_and_none_of_them_is_to_be_trusted(
    real_data: Path,
) -> None:
    said = rows(real_data / recorded_files.MAPCODER)
    differ = [each for each in said if (each["recheck"] == "passed") != each["recorded_is_solved"]]
    assert (len(said), len(differ)) == (88, 9)
    assert not any(each["recorded_verdict_trustworthy"] for each in differ)
