"""What README and the pages of docs/ tell a reader to type works, and what they list is there.

Fenced blocks of kind console or bash hold commands on lines that start with "$ harness". Each is run,
offline, in a folder of its own. Words in capitals stand for what is the reader's own: MODEL, DATA and SAMPLES
get stand-ins from the project (and `run` a limit of two problems); a command with any other such word is only
parsed.
"""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import pytest

from harness import cli
from harness.config import grid, load
from harness.files import packaged
from tests.support.command import Ended, harness, mini_humaneval, write_rows
from tests.support.paths import ROOT

PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
}
README = PAGES["README.md"]
ELSEWHERE = {
    "ci.md",
    "servers.md",
    "extending.md",
    "own-rows.md",
    "examples.md",
    "leaderboard.md",
}  # their commands run in tests of their own
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b")


@dataclass(frozen=True)
class Shown:
    """A command, and what a page says that it prints; "..." alone on a line leaves lines out."""

    page: str
    line: str
    output: tuple[str, ...]

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.line)[1:]


def blocks(kinds: set[str]) -> Iterator[tuple[str, list[str]]]:
    for page, text in PAGES.items():
        for kind, inside in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if kind in kinds and page not in ELSEWHERE:
                yield page, inside.splitlines()


def commands() -> Iterator[Shown]:
    for page, lines in blocks({"console", "bash"}):
        starts = [i for i, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in pairwise([*starts, len(lines)]):
            if lines[start].startswith("$ harness "):
                yield Shown(page, lines[start].removeprefix("$ "), tuple(lines[start + 1 : end]))


COMMANDS = list(commands())


def stand_ins(folder: Path) -> dict[str, str]:
    said = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in mini_humaneval()]
    samples = write_rows(folder / "samples.jsonl", said)
    model = packaged("tasks/demo/model")
    chat = "tasks/demo/chat-model"  # as in a checkout, from any folder
    return {"MODEL": str(model), chat: str(packaged(chat)), "DATA": "mini", "SAMPLES": str(samples)}


def parse(arguments: list[str]) -> None:
    """Let click read the arguments and stop before anything is done. Raises click.UsageError."""
    name, *rest = arguments
    # With the group's own settings: click keeps a command's help option as the first context made it.
    context = click.Context(cli.cli, **cli.cli.context_settings)
    command = cli.cli.get_command(context, name)
    assert command is not None, f"no command {name!r}"
    command.make_context(name, rest, parent=context)


def only_parsed(shown: Shown) -> bool:
    return bool(set(PLACEHOLDER.findall(shown.line)) - {"MODEL", "DATA", "SAMPLES"})


def run(shown: Shown, folder: Path) -> Ended:
    given = stand_ins(folder)
    arguments = [given.get(argument, argument) for argument in shown.arguments]
    limit = ["--limit", "2"] if arguments[0] == "run" and "--limit" not in arguments else []
    return harness(*arguments, *limit)


@pytest.mark.parametrize("shown", COMMANDS, ids=lambda shown: f"{shown.page}: {shown.line}")
def test_a_command_works_as_shown(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # tests/cli/test_quickstart.py trains it all
    monkeypatch.setattr("harness.cli.quickstart.TRAINING_OVERRIDES", ("optim.max_steps=8",))
    parse(shown.arguments)
    if only_parsed(shown):
        return
    ended = run(shown, tmp_path)
    assert ended.code == 0, ended.err
    if shown.arguments[0] == "tasks":  # the others print times, paths and what the machine is
        assert shown.output, f"{shown.page} shows no output"
        rest = ended.out.splitlines()
        for line in shown.output:
            if line != "...":
                assert line in rest, f"{shown.page} shows a line that {shown.line!r} does not print"
                rest = rest[rest.index(line) + 1 :]


def test_at_least_four_commands_are_run_and_each_main_one_is_among_them() -> None:
    run = [shown for shown in COMMANDS if not only_parsed(shown)]
    assert len(run) >= 4
    assert {"quickstart", "run", "score"} <= {shown.arguments[0] for shown in run}


def test_no_output_is_left_to_be_pasted() -> None:
    assert re.findall(r"^[A-Z]+_[A-Z]+$", "\n".join(PAGES.values()), re.MULTILINE) == []


def test_commands_within_the_text_are_ones_that_the_command_line_takes() -> None:
    inline = [found for text in PAGES.values() for found in re.findall(r"`harness ([^`]+)`", text)]
    assert len(inline) >= 30
    for command in inline:
        with suppress(click.MissingParameter, click.BadOptionUsage):  # `harness score` names the command
            parse(shlex.split(command))


def test_a_wrong_option_would_be_noticed() -> None:
    with pytest.raises(click.UsageError, match="--modle"):
        parse(["run", "--task", "humaneval", "--modle", "MODEL"])
    with pytest.raises(AssertionError, match="no command 'rnu'"):
        parse(["rnu"])


def test_the_config_file_it_shows_is_valid() -> None:
    shown = [(page, "\n".join(lines)) for page, lines in blocks({"toml"})]
    assert shown
    for page, text in shown:
        plain = tomllib.loads(text)
        if "matrix" in plain:
            assert len(grid.expand(plain, page)) > 1
        else:
            load.parse({"task": "conala", **plain}, page)


def test_the_two_commands_at_the_top_are_targets_of_the_makefile() -> None:
    top = README.split("\n## ")[0]
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(r"^(?:    |\$ )make (\w+)", top, re.MULTILINE) == ["quickstart", "test"]
    assert {"quickstart", "test"} <= set(targets)
    assert set(re.findall(r"`make ([\w-]+)`", "\n".join(PAGES.values()))) <= set(targets)


@pytest.mark.skipif(shutil.which("make") is None, reason="make: not installed")
def test_make_reads_its_file() -> None:
    subprocess.run(["make", "-n", "quickstart", "test"], cwd=ROOT, check=True, capture_output=True)


def test_the_list_of_commands_is_complete() -> None:
    listed = re.findall(r"^    harness ([a-z-]+)", PAGES["commands.md"], re.MULTILINE)
    assert sorted(listed) == sorted(cli.COMMANDS)


def test_the_tree_names_every_file_of_the_harness_and_no_other() -> None:
    tree = PAGES["layout.md"].split("\n    harness/\n")[1].split("\n    tasks/")[0]
    listed = re.findall(r"^      (\w+(?:\.py|/)) ", tree, re.MULTILINE)
    there = [path.name for path in (ROOT / "harness").glob("*.py") if path.name != "__init__.py"]
    there += [f"{path.parent.name}/" for path in (ROOT / "harness").glob("*/__init__.py")]
    assert sorted(listed) == sorted(there)


def test_readme_is_one_screen() -> None:
    assert README.count("\n") <= 120


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    links = re.findall(r"\]\((?!https?:)([^)]+)", PAGES[page])
    for link in links:
        name, _, heading = link.partition("#")
        target = folder / name if name else folder / page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {_anchor(title) for title in titles}, link


def test_every_page_is_linked_to() -> None:
    linked = {name for text in PAGES.values() for name in re.findall(r"([\w-]+\.md)[)#]", text)}
    assert set(PAGES) - linked - {"README.md"} == set()


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
