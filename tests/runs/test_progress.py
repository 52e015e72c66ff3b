"""How far a run is, as a person sees it: rate, tokens a second, time left, cost so far; nothing that is not known."""

import io
import re
from pathlib import Path

import pytest

from harness.config import grid
from harness.errors import ConfigError
from harness.runs import progress, study
from tests.support.command import harness, run_mini
from tests.support.faulty_server import World, serving


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "monotonic", made)
    return made


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_has_rate_tokens_time_left_and_cost(clock: Clock) -> None:
    stream = io.StringIO()
    with progress.show(stream) as step:
        step("generate", 20, 100)
        clock.now = 20.0
        step("generate", 60, 100, 12_000, 0.0625)
    assert stream.getvalue() == "generate 60/100, 2.0/s, 600 tokens/s, 0:00:20 left, cost 0.0625\n"


def test_what_is_not_known_is_not_shown(clock: Clock) -> None:
    stream = io.StringIO()
    with progress.show(stream) as step:
        step("judge", 0, 10)
        clock.now = 10.0
        step("judge", 5, 10)
    assert stream.getvalue() == "judge 5/10, 0.5/s, 0:00:10 left\n"


def test_lines_come_now_and_then_and_each_cell_has_its_own_rate(clock: Clock) -> None:
    stream = io.StringIO()
    with progress.show(stream) as step:
        for done in range(101):
            clock.now += 1.0
            step("generate", done, 100)
        clock.now += 1000.0  # loading another model is not part of its rate
        for done in range(101):
            clock.now += 0.5
            step("generate", done, 100)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 20 + 10
    assert {line.split(", ")[1] for line in lines[:20]} == {"1.0/s"}
    assert {line.split(", ")[1] for line in lines[20:]} == {"2.0/s"}


def test_a_terminal_has_one_live_line_that_is_gone_at_the_end(clock: Clock) -> None:
    stream = Terminal()
    with progress.show(stream) as step:
        step("generate", 0, 4)
        clock.now = 2.0
        step("generate", 2, 4, 100, 0.5)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "2/4 1.0/s, 50 tokens/s, 0:00:02 left, cost 0.5000" in " ".join(plain.split())


def test_a_run_behind_a_priced_server_shows_what_it_spends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    with serving(World()) as world:
        priced = ("--set", "backend.price_in=100000", "--set", "backend.price_out=10000")
        ended = run_mini(world.url, tmp_path / "r", 4, *priced)
    assert ended.code == 0, ended
    lines = [line for line in ended.err.splitlines() if line.startswith("generate ")]
    assert [line.split(", ")[0] for line in lines] == [f"generate {n}/4" for n in (1, 2, 3, 4)]
    assert [line.split(", ")[-1] for line in lines] == [
        "cost 0.7500",
        "cost 1.5000",
        "cost 2.2500",
        "cost 3.0000",
    ]
    assert all(" tokens/s, " in line for line in lines)


def test_embedding_shows_itself_wherever_prompts_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    sets = ("--set", "shots=rag:2", "--set", "retrieval.encoder=mini", "--set", f"retrieval.cache={tmp_path}")
    ended = harness("tasks", "conala", "--data", "mini", "--prompt", *sets)
    assert re.search(r"^index \d+/\d+, [\d.]+/s, 0:00:\d\d left$", ended.err, re.M)
    plain = {
        "task": "conala",
        "data": "mini",
        "shots": "rag:2",
        "retrieval": {"encoder": "mini", "cache": str(tmp_path / "more")},
        "backend": {"kind": "replay", "path": str(tmp_path)},
        "matrix": {"seed": [1]},
    }
    stages = set[str]()
    cells = grid.expand(plain, "test")
    with pytest.raises(ConfigError, match="1 of 1 cells cannot run"):  # there are no recordings
        study.check(cells, lambda stage, *counts: stages.add(stage))
    assert stages == {"check", "index"}
