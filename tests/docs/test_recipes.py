"""Recipes that people copy: the GitHub action and workflows, the GitLab job, the hooks, the pages on CI and servers.

Each YAML file parses, and each command of the harness in them is one that the command line takes.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import harness
from harness.cli.options import parse_config
from harness.config import load
from tests.docs.test_readme import parse
from tests.support.paths import ROOT
from tests.support.recordings import make

PAGES = [ROOT / "docs" / name for name in ("ci.md", "servers.md")]
ACTION = ROOT / ".github" / "actions" / "gate"
FILES = [
    *sorted((ROOT / ".github").rglob("*.yml")),
    ROOT / ".pre-commit-config.yaml",
    ROOT / "CITATION.cff",
]
SETTING = re.compile(r"^[A-Za-z_]+=\S* ")  # a variable before a command


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def blocks(path: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def strings(plain: Any) -> Iterator[str]:
    match plain:
        case str():
            yield plain
        case dict():
            for value in plain.values():
                yield from strings(value)
        case list():
            for value in plain:
                yield from strings(value)


def commands() -> Iterator[tuple[str, str]]:
    """(file, command) for each line of a shell that begins with harness."""
    shells = [(path, text) for path in PAGES for kind in ("bash", "console") for text in blocks(path, kind)]
    shells += [
        (path, text)
        for path in PAGES
        for block in blocks(path, "yaml")
        for text in strings(yaml.safe_load(block))
    ]
    shells += [
        (path, text) for path in FILES if path.parent.name == "workflows" for text in strings(read(path))
    ]
    shells += [(path, path.read_text(encoding="utf-8")) for path in ACTION.glob("*.sh")]
    for path, text in shells:
        for line in text.replace("\\\n", " ").splitlines():
            line = SETTING.sub("", line.strip().removeprefix("$ "))
            if line.startswith("harness "):
                yield path.name, re.split(r" \|\| | && ", line)[0]


COMMANDS = list(commands())


def check_keys(sets: Sequence[str], where: str) -> None:
    """Raises ConfigError for a key that no config of a server has."""
    server = {"url": "http://127.0.0.1:8000/v1"}
    parse_config(
        {"task": "humaneval", "backend": {"kind": "openai", "model": "m", "server": server}}, sets, where
    )


def test_every_page_and_the_action_have_commands() -> None:
    assert {name for name, _ in COMMANDS} >= {"ci.md", "servers.md", "gate.sh"}
    assert len(COMMANDS) >= 12


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_a_command_is_one_that_the_harness_takes(name: str, command: str) -> None:
    text = re.sub(r'"\$\{\w+\[@\]\}"', "", command)  # options that a script puts together
    words = shlex.split(text)[1:]
    parse(words)
    sets = [value for option, value in pairwise(words) if option == "--set"]
    check_keys(sets, name)


def test_settings_named_on_the_page_of_servers_are_keys_of_the_config() -> None:
    text = (ROOT / "docs" / "servers.md").read_text(encoding="utf-8")
    found = re.findall(r"`--set '?([^`']+?)'?`", text)
    assert len(found) >= 5
    for item in found:
        if not re.search(r"=[A-Z]+$", item):
            check_keys([item], item)
    for block in blocks(ROOT / "docs" / "servers.md", "toml"):
        load.parse({"task": "humaneval", **tomllib.loads(block)}, "servers.md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_parses(path: Path) -> None:
    assert read(path)


def test_what_workflows_and_the_action_use_is_there() -> None:
    used = [text for path in FILES for text in strings(read(path))]
    for text in used:
        for local in re.findall(r"^\./(\S+)$", text):
            assert (ROOT / local).exists(), local
        for script in re.findall(r"^(?:\.ci|tools)/\w+(?:\.sh)?", text, re.MULTILINE):
            assert os.access(ROOT / script, os.X_OK), script
        for script in re.findall(r"\$GITHUB_ACTION_PATH/(\w+\.sh)", text):
            assert (ACTION / script).is_file(), script
    assert ".ci/run" in used


def test_inputs_of_the_action_are_those_that_recipes_give_and_that_it_reads() -> None:
    action = read(ACTION / "action.yml")
    steps = [
        step
        for path in [ROOT / ".github" / "workflows" / "test.yml"]
        for job in read(path)["jobs"].values()
        for step in job.get("steps", ())
    ]
    steps += [
        step
        for block in blocks(ROOT / "docs" / "ci.md", "yaml")
        for step in yaml.safe_load(block).get("jobs", {}).get("gate", {}).get("steps", ())
    ]
    given = [step["with"] for step in steps if "actions/gate" in step.get("uses", "")]
    assert len(given) == 2
    for inputs in given:
        assert set(inputs) <= set(action["inputs"])
    text = (ACTION / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.([a-z-]+)", text)) == set(action["inputs"])
    script = (ACTION / "gate.sh").read_text(encoding="utf-8")
    assert set(re.findall(r"GATE_[A-Z_]+(?=:)", text)) == set(re.findall(r"GATE_[A-Z_]+", script))


def test_versions_are_those_of_the_project() -> None:
    assert read(ROOT / "CITATION.cff")["version"] == harness.__version__
    pinned = dict(
        re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    hooks = {repo["repo"]: repo.get("rev") for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]}
    assert hooks["https://github.com/astral-sh/ruff-pre-commit"] == f"v{pinned['ruff']}"


# ---------------------------------------------------------------- the action's script


def gate(folder: Path, command: str, **variables: object) -> tuple[int, str]:
    """Run gate.sh where `harness` is `command`: (exit code, what it gave as output of the step)."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "harness"
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GATE_", "GITHUB_"))}
    said = {f"GATE_{name.upper()}": str(value) for name, value in variables.items()}
    paths = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(folder / "output")}
    ended = subprocess.run(
        ["bash", ACTION / "gate.sh"],
        cwd=folder,
        env=kept | said | paths,
        capture_output=True,
        text=True,
        timeout=120,
    )
    output = folder / "output"
    return ended.returncode, output.read_text() if output.exists() else ended.stderr


def test_the_actions_script_gates_a_run_with_the_harness_itself(tmp_path: Path) -> None:
    make(tmp_path / "good", range(100), problems=164)
    make(tmp_path / "worse", range(20, 100), problems=164)
    itself = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m harness "$@"'
    subprocess.run(
        [
            sys.executable,
            "-m",
            "harness",
            "gate",
            tmp_path / "good",
            "--baseline",
            tmp_path / "b.json",
            "--write",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    code, output = gate(
        tmp_path,
        itself,
        run="worse",
        baseline="b.json",
        before="good",
        margins="em@1=0.02\n\n",
        floors="em@1=0.1",
    )
    assert (code, output) == (1, "exit-code=1\n")
    made = tmp_path / "harness-gate"
    assert {path.name for path in made.iterdir()} == {"gate.xml", "gate.md", "comment.md", "report.html"}
    assert "not shown to be within the margin of 0.02" in (made / "gate.md").read_text()
    assert "before:\n\n```\nx = 0" in (made / "comment.md").read_text()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4])
def test_the_gates_exit_code_is_the_scripts(code: int, tmp_path: Path) -> None:
    command = f'echo "$@" >> calls; [ "$1" = gate ] && exit {code}; exit 0'
    given = {"task": "humaneval", "completions": "my samples.jsonl", "data": "mini", "baseline": "b.json"}
    options = "--extract first_block --partial"
    assert gate(tmp_path, command, **given, score_options=options) == (code, f"exit-code={code}\n")
    score, gated, *report = (tmp_path / "calls").read_text().splitlines()
    assert (
        score
        == "score humaneval --completions my samples.jsonl --out harness-gate/run --data mini " + options
    )
    assert gated.startswith("gate harness-gate/run --baseline b.json --junit harness-gate/gate.xml")
    assert report == ([] if code == 2 else ["report harness-gate/run --out harness-gate/report.html"])


@pytest.mark.parametrize(("scored", "ended"), [(2, 2), (130, 130), (3, 4)])
def test_a_mistake_in_scoring_ends_it_and_faults_go_to_the_gate(
    scored: int, ended: int, tmp_path: Path
) -> None:
    command = f'[ "$1" = score ] && exit {scored}; [ "$1" = gate ] && exit 4; exit 0'
    assert gate(tmp_path, command, task="conala", completions="c", baseline="b")[0] == ended


@pytest.mark.parametrize("until", ["--until-clear m.json", "--until-clear=m.json"])
def test_a_stopped_run_that_is_too_short_for_the_gates_own_rules_goes_on_to_the_end(
    until: str, tmp_path: Path
) -> None:
    make(tmp_path / "good", range(100), problems=164)
    itself = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m harness "$@"'
    rule = ["--write", "--margin", "em@1=0.05"]
    write = [sys.executable, "-m", "harness", "gate", "good", "--baseline", tmp_path / "m.json", *rule]
    subprocess.run(
        write, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, capture_output=True
    )
    given = {"task": "letters.py", "completions": "good.jsonl", "baseline": "m.json", "floors": "em@1=0.1"}
    options = f"{until} --set options.problems=164"
    assert gate(tmp_path, itself, **given, score_options=options) == (0, "exit-code=0\n")
    assert "after 14 looks on the way tested at 0.04" in (tmp_path / "harness-gate/gate.md").read_text()


def test_nothing_to_gate_is_a_mistake(tmp_path: Path) -> None:
    assert gate(tmp_path, "exit 0", baseline="b", task="conala") == (2, "exit-code=2\n")


@pytest.mark.parametrize(
    ("there", "asked"), [("", "issues/7/comments "), ("11\n12\n", "issues/comments/12 ")]
)
def test_a_comment_takes_the_place_of_the_one_before(there: str, asked: str, tmp_path: Path) -> None:
    (tmp_path / "comment.md").write_text("<!-- harness gate conala -->\n### passed\n")
    gh = tmp_path / "gh"
    gh.write_text(
        '#!/bin/sh\necho "$@" >> calls\n'
        f"""case "$*" in *--paginate*) echo "$mark" >> marks; printf '{there}';; esac\n"""
    )
    gh.chmod(0o755)
    said = {"COMMENT": "comment.md", "PULL_REQUEST": "7", "GITHUB_REPOSITORY": "a/b"}
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", ACTION / "comment.sh"], cwd=tmp_path, env=os.environ | said | paths, check=True)
    _, written = (tmp_path / "calls").read_text().splitlines()
    assert f"repos/a/b/{asked}" in written
    assert written.endswith("--field body=@comment.md")
    assert ("PATCH" in written) == bool(there)
    assert (tmp_path / "marks").read_text() == "<!-- harness gate conala -->\n"
