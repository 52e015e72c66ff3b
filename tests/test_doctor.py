"""`harness doctor` attacks the sandbox for real, and says so with exit code 3 when a probe gets through."""

import json
from typing import Any

import pytest

from harness import doctor
from harness.config import JudgeConfig
from harness.sandbox import launch
from tests.command import harness

PROBES = [
    "a right program passes",
    "a wrong program fails",
    "exit status 0 is no pass",
    "an object equal to everything fails",
    "an endless loop times out",
    "memory is limited",
    "no network",
    "no file outside",
    "no child processes",
]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    ended = harness("doctor", "--json")
    assert ended.code == 0, ended
    read = json.loads(ended.out)
    assert isinstance(read, dict)
    return read


def test_the_json_has_the_parts_that_other_programs_read(found: dict[str, Any]) -> None:
    assert list(found) == ["sandbox", "devices", "extras", "versions", "hardware"]
    assert list(found["sandbox"]) == ["rung", "held", "probes"]
    assert set(found["extras"]) == {"peft", "codebleu", "bitsandbytes"}
    assert {type(there) for there in found["extras"].values()} == {bool}
    assert {"harness", "python", "torch", "transformers"} <= set(found["versions"])
    assert set(found["hardware"]) == {"machine", "system", "cores"}
    assert found["hardware"]["cores"] >= 1
    assert found["devices"][-1].startswith("cpu, ")


def test_every_probe_holds_on_this_machines_rung(found: dict[str, Any]) -> None:
    assert found["sandbox"]["rung"] in {"namespaces", "landlock"}
    assert [(probe["name"], probe["held"]) for probe in found["sandbox"]["probes"]] == [
        (name, True) for name in PROBES
    ]
    assert found["sandbox"]["held"] is True


def test_the_honest_program_passes_and_the_attacks_end_as_expected(found: dict[str, Any]) -> None:
    statuses = {probe["name"]: probe["status"] for probe in found["sandbox"]["probes"]}
    assert statuses["a right program passes"] == "passed"
    assert statuses["a wrong program fails"] == "failed"
    assert statuses["an object equal to everything fails"] == "failed"
    assert statuses["an endless loop times out"] == "timeout"
    assert statuses["no network"] == statuses["no file outside"] == statuses["no child processes"] == "error"


def test_the_probes_of_isolation_get_through_where_there_is_none() -> None:
    ended = harness("doctor", "--json", "--sandbox", "process")
    broken = [probe["name"] for probe in json.loads(ended.out)["sandbox"]["probes"] if not probe["held"]]
    assert broken == ["no network", "no file outside", "no child processes"]
    assert json.loads(ended.out)["sandbox"]["held"] is False
    assert ended.code == 3


@pytest.mark.parametrize("expected", ["passed", "failed"])
def test_one_probe_that_does_not_end_as_it_should_is_exit_code_3(
    expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = doctor.Probe("planted", doctor.PROBES[0].code, frozenset({expected}))
    monkeypatch.setattr(doctor, "PROBES", (doctor.PROBES[1], right))
    box = doctor.examine(JudgeConfig(workers=1))["sandbox"]
    assert [(probe["name"], probe["held"]) for probe in box["probes"]] == [
        ("a wrong program fails", True),
        ("planted", expected == "passed"),
    ]
    assert box["held"] is (expected == "passed")
    ended = harness("doctor")
    assert ended.code == (0 if expected == "passed" else 3)
    assert ("  BROKEN   planted (passed)" in ended.out) is (expected == "failed")
    assert "  held     a wrong program fails (failed)" in ended.out


def test_a_machine_without_isolation_is_told_why_and_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(rung: str, number: int) -> launch.Worker:
        del number
        raise launch.Unavailable(f"no {rung} here")

    monkeypatch.setattr(launch, "launch", refuse)
    ended = harness("doctor")
    assert ended.code == 3
    assert ended.out.startswith(
        "sandbox    none: no isolation works on this machine (namespaces: no namespaces here;"
    )
    assert "--sandbox process" in ended.out


def test_the_text_names_the_rung_devices_extras_versions_and_hardware(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "PROBES", doctor.PROBES[:1])
    lines = harness("doctor").out.splitlines()
    assert lines[0] in {"sandbox    namespaces", "sandbox    landlock"}
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "sandbox",
        "devices",
        "extras",
        "versions",
        "hardware",
    ]


def test_the_proof_of_a_task_on_the_mini_rows_finds_nothing_wrong() -> None:
    ended = harness("doctor", "--task", "humaneval", "--data", "mini")
    assert ended.code == 0
    assert ended.out == "66 problems: 0 checks that are not to be trusted\n"
