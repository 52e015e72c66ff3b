"""A client of the faulty server, requests for it, and its completions by problem and sample."""

from typing import Any

from harness.backends import openai
from harness.config.backend import BackendConfig, ServerConfig
from harness.schema import Generation, Prompt, Request, Sampling
from tests.support.faulty_server import World

DRAWN = Sampling(samples=3, temperature=0.8, max_tokens=16, seed=1)


def client(world: World, slept: list[float] | None = None, **server: Any) -> openai.OpenAIClient:
    made = openai.load(config(world, **server))
    seconds = slept if slept is not None else []
    made.transport.sleep = lambda wait, cancelled: seconds.append(wait)
    return made


def config(world: World, **server: Any) -> BackendConfig:
    return BackendConfig(kind="openai", model="m", server=ServerConfig(url=world.url, **server))


def requests(problems: int, samples: int = 1) -> list[Request]:
    return [Request(f"p/{i}", Prompt(text=f"q{i}"), tuple(range(samples))) for i in range(problems)]


def texts(made: list[Generation]) -> dict[tuple[str, int], str]:
    assert len({(each.problem_id, each.index) for each in made}) == len(made)
    return {(each.problem_id, each.index): each.completion.text for each in made}


def generate(made: openai.OpenAIClient, wanted: list[Request], sampling: Sampling) -> list[Generation]:
    try:
        return list(made.generate(wanted, sampling))
    finally:
        made.close()
