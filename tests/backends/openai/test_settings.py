"""Settings: what cannot work is refused in one line, and keys are shown and written nowhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import backends
from harness.backends import openai
from harness.config import grid
from harness.config.load import parse
from harness.errors import BackendFault, ConfigError
from harness.runs import study
from harness.schema import Sampling
from tests.support.command import run_mini
from tests.support.faulty_server import World
from tests.support.parts.openai_client import client, config, generate, requests


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(samples=2, beams=2), r"^sampling\.beams: OpenAI's protocol has no beam search"),
        (Sampling(temperature=1.0, top_k=5), r"^sampling\.top_k: OpenAI's protocol has none"),
    ],
)
def test_what_the_protocol_has_not_is_refused(world: World, sampling: Sampling, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate(client(world), requests(1), sampling)
    assert world.bodies == []


def test_a_study_is_told_what_a_server_cannot_do_before_any_work(tmp_path: Path) -> None:
    plain = {
        "task": "conala",
        "data": "mini",
        "backend": {"kind": "openai", "model": "m", "server": {"url": "http://127.0.0.1:9/v1"}},
        "matrix": {"way": [{"sampling.beams": 4}, {"sampling.temperature": 1.0, "sampling.top_k": 5}]},
    }
    with pytest.raises(ConfigError, match=r"^2 of 2 cells cannot run: .*no beam search.*sampling\.top_k"):
        study.check(grid.expand(plain, "test"))


def test_a_key_that_the_server_tells_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "sk-not-to-be-seen\n")
    world.key = "sk-not-to-be-seen"
    world.plan = lambda number, body: "tells"
    with pytest.raises(BackendFault, match=r"Bearer \[the key\]") as caught:
        generate(client(world, key_env="OWN_KEY", retries=0), requests(1), Sampling(max_tokens=9))
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-\nnot", "sk-schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OWN_KEY", key)
    with pytest.raises(
        ConfigError, match="in the environment variable OWN_KEY has characters that"
    ) as caught:
        client(world, key_env="OWN_KEY")
    assert "sk-" not in str(caught.value)


def test_keys_come_from_the_environment_and_are_written_nowhere(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.key = "sk-not-to-be-seen"
    with pytest.raises(ConfigError, match=r"asks for a key: no key in the environment variable OWN_KEY"):
        client(world, key_env="OWN_KEY")
    monkeypatch.setenv("OWN_KEY", "sk-wrong")
    with pytest.raises(ConfigError, match=r"asks for a key: the key in the environment variable OWN_KEY"):
        client(world, key_env="OWN_KEY")
    monkeypatch.setenv("OWN_KEY", world.key)
    world.answer = lambda body, index: "x"
    ended = run_mini(world.url, tmp_path / "run", 3, "--set", "backend.server.key_env=OWN_KEY")
    assert ended.code == 0, ended
    assert set(world.keys) == {f"Bearer {world.key}"}
    made = client(world, key_env="OWN_KEY")
    made.close()
    assert "sk-" not in ended.out + ended.err + repr(made)
    for path in (tmp_path / "run").iterdir():
        assert "sk-" not in path.read_text(), path
    identity = json.loads((tmp_path / "run/run.json").read_text())["backend"]
    assert identity == {
        "kind": "openai",
        "model": "m",
        "engine": "openai api",
        "api": "auto",
        "url": world.url,
    }


def test_another_model_than_those_served_is_named(world: World) -> None:
    world.models = ("codellama-7b", "codellama-13b")
    with pytest.raises(ConfigError, match=r"no model 'm'\. Known: codellama-13b, codellama-7b"):
        client(world)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ({"kind": "openai", "model": "m"}, "kind = 'openai' needs server.url, http://HOST:PORT/v1"),
        (
            {"kind": "hf", "model": "m", "server": {"url": "http://x/v1"}},
            "backend.server has no effect with kind = 'hf'",
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://x/v1"}, "quantize": "4bit"},
            "quantize has no effect with kind = 'openai': set it where the server is started",
        ),
        (
            {"kind": "server", "model": "m", "server": {"command": "vllm serve"}},
            "needs server.command with {port}",
        ),
        ({"kind": "openai", "model": "m", "server": {"urll": "x"}}, "Did you mean 'backend.server.url'"),
        *(
            ({"kind": "openai", "model": "m", "server": {"url": url}}, "expected http(s)://HOST[:PORT]/v1")
            for url in (
                "localhost:8000/v1",
                "http:///v1",
                "http://[::1/v1",
                "http://h:99999/v1",
                "ftp://h/v1",
            )
        ),
        *(
            (
                {"kind": "openai", "model": "m", "server": {"url": url}},
                "server.url may not hold a user, a password",
            )
            for url in (
                "http://user:sk-1@h/v1",
                "http://sk-1@h/v1",
                "http://h/v1?api-key=sk-1",
                "http://h/v1#sk-1",
            )
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://h/v1", "extra": {"temperature": 1}}},
            "server.extra.temperature cannot be set there: it is sampling.temperature",
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://h/v1", "extra": {"stream": True}}},
            "server.extra.stream cannot be set there: answers are read whole",
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://h/v1", "omit": ["prompt"]}},
            "server.omit.0 = 'prompt'",
        ),
    ],
)
def test_a_config_that_cannot_work_is_refused(backend: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"task": "conala", "backend": backend})
    assert message in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_how_requests_are_sent_is_no_part_of_a_runs_identity() -> None:
    plain = {"task": "conala", "backend": {"kind": "openai", "model": "m", "server": {"url": "http://x/v1"}}}
    base = parse(plain)
    server = {"url": "http://x/v1", "concurrency": 3, "retries": 1, "request_s": 5, "key_env": "K"}
    assert parse(plain | {"backend": plain["backend"] | {"server": server}}).hash == base.hash  # type: ignore[operator]
    other = {"url": "http://y/v1"}
    assert parse(plain | {"backend": plain["backend"] | {"server": other}}).hash != base.hash  # type: ignore[operator]


def test_the_backend_is_found_by_its_kind(world: World) -> None:
    made = backends.load(config(world), [])
    made.close()
    assert isinstance(made, openai.OpenAIClient)
    assert made.identity["kind"] == "openai"
