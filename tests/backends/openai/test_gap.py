"""How a server is asked for what stands between two texts."""

import pytest

from harness.backends import openai
from harness.config.backend import BackendConfig, ServerConfig
from harness.errors import ConfigError
from harness.schema import Prompt, Request, Sampling
from tests.support.faulty_server import World
from tests.support.parts.openai_client import client, config, generate

GAP = [Request("p/0", Prompt(text="a = ", suffix="\n"), (0,))]
GREEDY = Sampling(max_tokens=9)


def test_a_gap_is_sent_as_prompt_and_suffix_to_the_letter(world: World) -> None:
    generate(client(world), [*GAP, Request("p/1", Prompt(text="b", suffix=""), (0,))], GREEDY)
    asked = sorted((body["prompt"], body["suffix"]) for body in world.bodies)
    assert asked == [("a = ", "\n"), ("b", "")]
    assert all(
        set(body) == {"model", "prompt", "suffix", "max_tokens", "temperature"} for body in world.bodies
    )


def test_in_a_familys_marks_the_answer_ends_at_them_too(world: World) -> None:
    world.answer = lambda body, index: "1<|fim_pad|>2"
    made = openai.load(config(world).model_copy(update={"fim": "qwen"}))
    (found,) = generate(made, GAP, Sampling(max_tokens=9, stop=("#",)))
    assert found.completion.text == "1"
    assert world.bodies == [
        {
            "model": "m",
            "prompt": "<|fim_prefix|>a = <|fim_suffix|>\n<|fim_middle|>",
            "max_tokens": 9,
            "temperature": 0.0,
            "stop": ["#", "<|endoftext|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"],
            "skip_special_tokens": False,
        }
    ]


@pytest.mark.parametrize("status", [400, 500])
def test_a_server_that_takes_no_suffix_is_named_with_the_way_out(world: World, status: int) -> None:
    world.plan = lambda number, body: f"no_suffix {status}"
    with pytest.raises(ConfigError) as caught:
        generate(client(world), GAP, GREEDY)
    assert str(caught.value) == (
        f"p/0: {world.url}/ does not fill in the middle by itself: suffix is not currently supported. Set backend.fim"
        " to the model's family, and its marks are written into the prompt: codellama, starcoder, santacoder,"
        " deepseek, codegemma, qwen, codestral, codegen2"
    )
    assert len(world.bodies) == 1


def test_a_server_of_chats_is_not_asked_at_all() -> None:
    chats = BackendConfig(kind="openai", model="m", server=ServerConfig(url="http://h/v1", api="chat"))
    with pytest.raises(ConfigError, match=r"server\.api is chat: set it to completions"):
        openai.backend.check_fim(chats)
