"""An adapter at a server: its answers are shown to be its own, or the record says that they are vouched for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends import openai
from harness.backends.openai import adapter_proof
from harness.config.backend import BackendConfig, ServerConfig
from tests.support.command import run_mini
from tests.support.faulty_server import World, asked, serving

SAME = "vouched: the adapter answers 3 probes as the base does"


@pytest.fixture
def world() -> Iterator[World]:
    with serving(World(models=("m", "tuned"))) as world:
        yield world


def said(world: World, adapter: str = "tuned", **server: Any) -> str:
    config = BackendConfig(
        kind="openai", model="m", adapter=adapter, server=ServerConfig(url=world.url, retries=0, **server)
    )
    made = openai.load(config)
    made.close()
    return made.identity.get("adapter_proof", "")


def test_an_answer_that_differs_from_the_bases_proves_an_adapter(world: World) -> None:
    world.answer = lambda body, index: f"{body['model']} {asked(body)}"
    assert said(world) == adapter_proof.PROVED
    assert [body["model"] for body in world.bodies] == ["m", "tuned", "m"]
    assert {body["temperature"] for body in world.bodies} == {0}
    assert said(world, adapter="") == ""
    assert len(world.bodies) == 3


def test_one_probe_that_differs_is_enough(world: World) -> None:
    world.answer = lambda body, index: body["model"] if "SELECT" in asked(body) else "the same"
    assert said(world) == adapter_proof.PROVED


def test_a_server_that_answers_as_the_base_whatever_the_name_proves_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.answer = lambda body, index: "the same"
    assert said(world) == SAME
    assert f"nothing proves that adapter tuned is used: {SAME}" in caplog.text


def test_answers_that_differ_by_themselves_prove_nothing(world: World) -> None:
    world.answer = lambda body, index: f"{body['model']} {len(world.bodies)}"
    assert said(world) == "vouched: the base itself answers a probe differently each time"


def test_a_base_that_is_not_served_cannot_be_compared_with(world: World) -> None:
    world.plan = lambda number, body: "status 404" if body["model"] == "m" else ""
    assert said(world).startswith("vouched: a probe was refused: ")


def test_the_record_says_it_and_no_run_is_another_by_it(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def run() -> Any:
        ended = run_mini(world.url, tmp_path, 2, "--adapter", "tuned")
        assert ended.code == 0, ended.err
        return json.loads((tmp_path / "run.json").read_text())

    world.answer = lambda body, index: "the same"
    record = run()
    assert record["backend"]["adapter_proof"] == SAME
    assert "nothing proves that adapter tuned is used" in caplog.text
    world.answer = lambda body, index: str(body["model"])
    assert run()["run_id"] == record["run_id"]  # the same run: it is resumed, not refused
