"""What completions cost at the config's prices, from the server's own token counts. Pure.

A prompt that a server read once for several samples is paid once: each of them bears its share. A prompt with 0 tokens
was not counted, and a sum without it would be too low: then there is no sum.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.config.backend import BackendConfig
from harness.schema import Completion

MILLION = 1_000_000


def price(completion: Completion, config: BackendConfig) -> float:
    """In the prices' currency; 0 where the config names none."""
    if config.price_in is None or config.price_out is None:
        return 0.0
    read = completion.prompt_tokens if completion.prompt_share is None else completion.prompt_share
    return (read * config.price_in + completion.completion_tokens * config.price_out) / MILLION


@dataclass(frozen=True)
class RunCost:
    """`figures` are the sums of tokens and, with prices, of the price; empty where samples are `uncounted`."""

    figures: Mapping[str, float]
    uncounted: int


def total_cost(completions: Iterable[Completion], config: BackendConfig) -> RunCost:
    uncounted, read, made, thought, paid = 0, 0, 0, 0, 0.0
    for completion in completions:
        uncounted += not completion.prompt_tokens and completion.finish != "skipped"
        read += completion.prompt_tokens
        made += completion.completion_tokens
        thought += completion.reasoning_tokens or 0
        paid += price(completion, config)
    figures: dict[str, float] = {"completion_tokens": made}
    if thought:
        figures["reasoning_tokens"] = thought
    if config.price_in is not None:
        figures["price"] = paid
    return RunCost({} if uncounted else {**figures, "prompt_tokens": read}, uncounted)
