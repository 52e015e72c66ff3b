"""The [sampling] of a run: overrides of the task's own, and how the two become one checked value."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from harness.config.backend import BUILT_IN
from harness.errors import ConfigError
from harness.schema import Sampling, Value


class SamplingConfig(Value):
    """Overrides of the task's own sampling; None keeps the task's."""

    samples: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    max_reasoning_tokens: int | None = Field(default=None, ge=0, exclude_if=lambda most: most is None)
    stop: tuple[str, ...] | None = None
    beams: int | None = Field(default=None, ge=1)
    banned_tokens: tuple[int | str, ...] | None = None
    count_penalty: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    repetition_penalty: float | None = Field(default=None, gt=0, allow_inf_nan=False)


def resolve_sampling(
    config: SamplingConfig, base: Sampling, stop: Sequence[str], seed: int, kind: str
) -> Sampling:
    """The task's sampling with the template's stop strings and the config's overrides, checked as a whole.

    `kind` is the backend's. Raises ConfigError for what it cannot do, and for settings without effect.
    """
    overrides = {name: value for name, value in config.model_dump().items() if value is not None}
    _check_backend(overrides, kind)
    merged = {**base.model_dump(), "stop": tuple(stop) or base.stop, "seed": seed, **overrides}
    _check_draws(merged, overrides, recorded=kind == "replay")
    return Sampling(**merged)


def _check_backend(overrides: Mapping[str, Any], kind: str) -> None:
    if kind == "replay" and overrides:
        raise ConfigError(
            f"sampling.{next(iter(overrides))} has no effect on recorded completions: leave it out"
        )
    for name in ("banned_tokens", "count_penalty", "repetition_penalty"):
        if name in overrides and kind in BUILT_IN and kind != "hf":
            raise ConfigError(f"sampling.{name}: backend {kind!r} cannot do that, only 'hf' can")


def _check_draws(merged: Mapping[str, Any], overrides: Mapping[str, Any], recorded: bool) -> None:
    samples = merged["samples"]
    if merged["temperature"] == 0:
        for name in ("top_p", "top_k"):
            if name in overrides:
                raise ConfigError(
                    f"sampling.{name} has no effect without sampling.temperature: set it too, 0.8 say"
                )
    if merged["beams"] > 1:
        if merged["temperature"] > 0:
            raise ConfigError("sampling.beams and sampling.temperature exclude each other: drop one of them")
        if samples > merged["beams"]:
            raise ConfigError(
                f"sampling.samples = {samples} is more than sampling.beams = {merged['beams']}: a beam search"
                f" returns at most one sample a beam; set sampling.beams = {samples}"
            )
    elif samples > 1 and merged["temperature"] == 0 and not recorded:
        raise ConfigError(
            f"sampling.samples = {samples} greedy samples would all be the same:"
            f" set sampling.temperature (0.8, say) or sampling.beams = {samples}"
        )


def check_ks(ks: Sequence[int], samples: int) -> None:
    """k above n has no unbiased estimate: say so before any work."""
    for k in ks:
        if k < 1:
            raise ConfigError(f"k = {k}: must be at least 1")
        if k > samples:
            raise ConfigError(
                f"k = {k} needs at least {k} samples a problem, and there are {samples}:"
                f" have at least {k} made (sampling.samples) or recorded, or leave that k out"
            )
