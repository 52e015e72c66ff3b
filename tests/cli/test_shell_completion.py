"""What docs/commands.md says of completion in the shell: scripts for three shells, and what they are told."""

import re

import pytest
from click.shell_completion import get_completion_class

from harness import cli
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SHELLS = re.findall(r"_HARNESS_COMPLETE=(\w+)_source", PAGE)


def completed(arguments: list[str], begun: str) -> list[str]:
    kind = get_completion_class("bash")
    assert kind is not None
    shell = kind(cli.cli, {}, "harness", "_HARNESS_COMPLETE")
    return [item.value for item in shell.get_completions(arguments, begun)]


def test_commands_options_and_choices_are_completed() -> None:
    assert completed([], "co") == ["compare"]
    assert completed(["gate"], "--q") == ["--quiet"]
    assert completed(["score", "--sandbox"], "land") == ["landlock"]


def test_the_page_has_a_line_for_each_shell() -> None:
    assert SHELLS == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_of_the_page_gets_a_script(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_HARNESS_COMPLETE", f"{shell}_source")
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", staticmethod(lambda: None))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    assert f"_HARNESS_COMPLETE={shell}_complete" in capsys.readouterr().out
