"""The options that everybody types: a server by its address, the sampling, several tasks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import harness
from tests.support.faulty_server import World, serving


@pytest.fixture
def world() -> Iterator[World]:
    with serving(World(models=("m", "tuned"))) as world:
        world.answer = lambda body, index: "x = 1"
        yield world


def record(folder: Path) -> dict[str, Any]:
    plain = json.loads((folder / "run.json").read_text())
    assert isinstance(plain, dict)
    return plain


def test_a_server_is_its_address_and_the_sampling_is_typed(world: World, tmp_path: Path) -> None:
    ended = harness(
        *("run", "--task", "conala", "--data", "mini", "--limit", 2, "--out", tmp_path / "run", "--no-cache"),
        *("--server", world.url, "--model", "m", "--adapter", "tuned"),
        *("--samples", 2, "--temperature", 0.5, "--top-p", 0.9, "--max-tokens", 33, "--seed", 7),
    )
    assert ended.code == 0, ended
    *_, body = world.bodies  # behind the probes of the adapter
    found = {name: body[name] for name in ("model", "temperature", "top_p", "max_tokens", "n")}
    assert found == {"model": "tuned", "temperature": 0.5, "top_p": 0.9, "max_tokens": 33, "n": 2}
    made = record(tmp_path / "run")
    assert (made["backend"]["kind"], made["backend"]["url"], made["config"]["seed"]) == (
        "openai",
        world.url,
        7,
    )


def test_several_tasks_are_a_study_of_them(world: World, tmp_path: Path) -> None:
    ended = harness(
        *("run", "--task", "conala", "--task", "codealpaca_py", "--data", "mini", "--limit", 1),
        *("--server", world.url, "--model", "m", "--out", tmp_path, "--no-cache"),
    )
    assert ended.code == 0, ended
    assert {record(path.parent)["task"]["name"] for path in tmp_path.glob("*/run.json")} == {
        "conala",
        "codealpaca_py",
    }


def test_what_is_set_for_a_model_here_has_no_effect_on_a_servers(world: World) -> None:
    given = ("run", "--task", "conala", "--data", "mini", "--server", world.url, "--model", "m")
    for option, value in (("--dtype", "float16"), ("--device", "cpu")):
        assert f"{option[2:]} has no effect with kind = 'openai'" in harness(*given, option, value).complaint
    assert "--batch-size" in harness("run", "--help").out
    assert "backend.server has no effect with kind = 'hf'" in harness(*given, "--backend", "hf").complaint
