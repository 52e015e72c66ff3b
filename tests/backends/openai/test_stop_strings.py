"""Stop strings: a server is sent those it takes, all are applied, and none ends a thought."""

from typing import Any

import pytest

from harness.errors import ConfigError
from harness.schema import Prompt, Request, Sampling
from harness.text.completion_parts import separate
from tests.support.faulty_server import World
from tests.support.parts.openai_client import client, generate, requests

STOPS = ("a!", "b!", "c!", "d!", "\n```", "#")


@pytest.mark.parametrize(
    ("takes", "sent"),
    [
        (9, [list(STOPS)] * 2),
        (4, [list(STOPS), ["a!", "b!", "c!", "\n```"], ["a!", "b!", "c!", "\n```"]]),
        (0, [list(STOPS), ["a!", "b!", "c!", "\n```"], None, None]),
    ],
)
def test_all_stop_strings_are_sent_that_a_server_takes_and_all_are_applied(
    world: World, takes: int, sent: list[object]
) -> None:
    world.answer = lambda body, index: "kept#cut"
    world.plan = lambda number, body: f"stops {takes}"
    made = generate(client(world, concurrency=1), requests(2), Sampling(max_tokens=9, stop=STOPS))
    assert [body.get("stop") for body in world.bodies] == sent
    assert {(each.completion.text, each.completion.finish) for each in made} == {("kept", "stop")}
    assert [each.completion.after_stop_tokens for each in made] == [2, 2], "of 5 tokens, 3 of 8 characters"


def test_a_stop_string_in_a_thought_that_the_prompt_opened_ends_nothing(world: World) -> None:
    world.answer = lambda body, index: "let # me</think>x = 1 # one"
    opened = [Request("p", Prompt(text="q <think>"), (0,))]
    (made,) = generate(client(world), opened, Sampling(max_tokens=9, stop=("#",)))
    assert made.completion.text == "let # me</think>x = 1 "
    world.answer = lambda body, index: "let # me"
    (made,) = generate(client(world), opened, Sampling(max_tokens=9, stop=("#",)))
    assert made.completion.text == "let # me"


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_server_that_ends_thoughts_at_stop_strings_is_sent_none(
    world: World, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A thought in the text, or told apart by the server's parser, which comes after its stop strings."""

    def said(body: dict[str, Any], index: int) -> str:
        whole = "<think>is it # one?</think>\nx = 1 # one"
        return whole.partition("#")[0] if "stop" in body else whole

    world.answer = said
    world.plan = lambda number, body: "parses" if api == "chat" else ""
    made = generate(client(world, api=api, concurrency=1), requests(2), Sampling(max_tokens=9, stop=("#",)))
    assert [separate(each.completion).text for each in made] == ["x = 1 "] * 2
    assert ["stop" in body for body in world.bodies] == [True, False, False]
    assert len(caplog.records) == 1


def test_a_mistake_that_is_not_about_stop_strings_leaves_them_as_they_are(world: World) -> None:
    world.plan = lambda number, body: "status 422"
    with pytest.raises(ConfigError):
        generate(client(world), requests(1), Sampling(max_tokens=9, stop=STOPS))
    assert [len(body["stop"]) for body in world.bodies] == [6]
