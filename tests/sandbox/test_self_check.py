"""`harness doctor` attacks the sandbox for real, and says so with exit code 3 when a probe gets through."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.config.run import JudgeConfig
from harness.sandbox import launch, self_check
from harness.sandbox.languages import table, toolchains
from tests.support.command import harness

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
    assert list(found) == ["sandbox", "languages", "devices", "extras", "versions", "hardware"]
    assert list(found["sandbox"]) == ["isolation", "levels", "held", "probes", "attacks"]
    assert set(found["extras"]) == {"peft", "codebleu", "bitsandbytes"}
    assert {type(there) for there in found["extras"].values()} == {bool}
    assert {"harness", "python", "torch", "transformers"} <= set(found["versions"])
    assert set(found["hardware"]) == {"machine", "system", "cores"}
    assert found["hardware"]["cores"] >= 1
    assert found["devices"][-1].startswith("cpu, ")


def test_every_probe_holds_at_this_machines_level(found: dict[str, Any]) -> None:
    assert found["sandbox"]["isolation"] in {"namespaces", "landlock"}
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


def test_every_attack_of_the_tests_is_tried_and_held(found: dict[str, Any]) -> None:
    files = (Path(__file__).parent / "attacks").glob("*.py")
    assert [(attack["name"], attack["held"]) for attack in found["sandbox"]["attacks"]] == [
        (name, True) for name in sorted(file.stem.replace("_", " ") for file in files)
    ]


def test_each_level_works_or_says_why_not(found: dict[str, Any]) -> None:
    assert list(found["sandbox"]["levels"]) == ["namespaces", "landlock"]
    assert found["sandbox"]["levels"][found["sandbox"]["isolation"]] == "works"
    assert all(found["sandbox"]["levels"].values())


def test_a_level_is_tried_as_a_run_uses_it_wherever_temporary_files_are(
    found: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs have a /tmp of their own, into which no folder of the machine's can be mounted."""
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    assert self_check._try_level(found["sandbox"]["isolation"]) == "works"


THROUGH = "def solve(x):\n    return x * x + 1"
HELD = "def solve(x):\n    return open('@CANARY@').read()"


@pytest.mark.parametrize("isolation", ["namespaces", "landlock"])
def test_an_attack_that_gets_through_is_named_and_is_exit_code_3(
    isolation: str, monkeypatch: pytest.MonkeyPatch, found: dict[str, Any]
) -> None:
    if found["sandbox"]["levels"][isolation] != "works":
        pytest.skip(f"this machine does not offer {isolation}: {found['sandbox']['levels'][isolation]}")
    monkeypatch.setenv("HARNESS_CANARY", "mine")
    monkeypatch.setattr(self_check, "load_attacks", lambda: {"gets_through": THROUGH, "reads_a_file": HELD})
    ended = harness("doctor", "--sandbox", isolation)
    assert ended.code == 3
    lines = ended.out.splitlines()
    begun = lines.index("attacks    2 tried, 1 held, 1 got through")
    assert lines[begun + 1 : begun + 3] == ["  BROKEN   gets through (passed)", "  error    reads a file"]
    assert os.environ["HARNESS_CANARY"] == "mine"


def test_harm_outside_is_a_breach_whatever_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "load_attacks", lambda: {"writes": "open('@DROP@/left', 'w').close()"})
    (outcome,) = self_check._run_attacks("process")
    assert outcome == {"name": "writes", "status": "error, and changed files outside", "held": False}


def test_an_installation_without_the_attacks_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(self_check, "files", lambda package: tmp_path)
    ended = harness("doctor")
    assert ended.code == 3
    assert "the built-in attacks are missing from this installation" in ended.out


def test_the_probes_of_isolation_get_through_where_there_is_none() -> None:
    ended = harness("doctor", "--json", "--sandbox", "process")
    broken = [probe["name"] for probe in json.loads(ended.out)["sandbox"]["probes"] if not probe["held"]]
    assert broken == ["no network", "no file outside", "no child processes"]
    assert json.loads(ended.out)["sandbox"]["held"] is False
    assert json.loads(ended.out)["sandbox"]["attacks"] == []
    assert ended.code == 3


def test_where_nothing_isolates_the_attacks_are_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check, "PROBES", self_check.PROBES[:1])
    out = harness("doctor", "--sandbox", "process").out
    assert "attacks    not tried: they do harm where the isolation is not known to hold\n" in out


@pytest.mark.parametrize("expected", ["passed", "failed"])
def test_one_probe_that_does_not_end_as_it_should_is_exit_code_3(
    expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = self_check.SandboxProbe("planted", self_check.PROBES[0].code, frozenset({expected}))
    monkeypatch.setattr(self_check, "PROBES", (self_check.PROBES[1], right))
    monkeypatch.setattr(self_check, "load_attacks", lambda: {"reads_a_file": HELD})
    box = self_check.check_machine(JudgeConfig(workers=1))["sandbox"]
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
    def refuse(isolation: str, *rest: object) -> launch.SandboxWorker:
        del rest
        raise launch.IsolationUnavailable(f"no {isolation} here")

    monkeypatch.setattr(launch, "start_worker", refuse)
    ended = harness("doctor")
    assert ended.code == 3
    assert ended.out.startswith(
        "sandbox    none: no isolation works on this machine (namespaces: no namespaces here;"
    )
    assert "--sandbox process" in ended.out


def test_the_text_names_the_level_devices_extras_versions_and_hardware(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(self_check, "PROBES", self_check.PROBES[:1])
    monkeypatch.setattr(self_check, "load_attacks", lambda: {"reads_a_file": HELD})
    lines = harness("doctor").out.splitlines()
    assert lines[0] in {"sandbox    namespaces", "sandbox    landlock"}
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [
        "sandbox",
        "isolation",
        "attacks",
        "languages",
        "devices",
        "extras",
        "versions",
        "hardware",
    ]


def test_every_language_has_its_version_or_the_package_that_brings_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(table.LANGUAGES) == [
        *("python", "java", "cpp", "javascript", "go", "rust", "bash"),
        *("typescript", "csharp", "php", "perl", "lua", "ruby", "d", "r", "racket", "scala"),
    ]
    assert self_check._language_version("bash").startswith("GNU bash")
    monkeypatch.setenv("PATH", "/nonexistent")
    toolchains.toolchain.cache_clear()
    try:
        assert self_check._language_version("rust").endswith("apt-get install rustc).")
    finally:
        toolchains.toolchain.cache_clear()


def test_the_proof_of_a_task_on_the_mini_rows_finds_nothing_wrong() -> None:
    ended = harness("doctor", "--task", "humaneval", "--data", "mini")
    assert ended.code == 0
    assert ended.out.startswith("66 problems: 0 unreliable checks\n")
