"""The number of rows by memory; the fast profile; attention and device map as the config has them."""

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends import hf
from harness.backends.hf import batch_size
from harness.backends.hf.batch_size import MemoryCost, max_rows
from harness.backends.hf.scheduler import Engine
from harness.config.backend import BackendConfig
from harness.config.load import parse
from harness.errors import ConfigError, UserError
from harness.schema import Prompt, Request, Sampling

GIB = 2**30
DRAWN = Sampling(max_tokens=12, temperature=0.8, top_p=0.9, samples=8)


def loaded(folder: Path, **more: Any) -> Engine:
    return hf.load(BackendConfig(model=str(folder), **more))


def made(backend: Engine, sampling: Sampling = DRAWN) -> list[str]:
    asked = [Request(f"t/{n}", Prompt(text="x = " * n), tuple(range(sampling.samples))) for n in range(1, 12)]
    return sorted(each.model_dump_json() for each in backend.generate(asked, sampling))


# ---------------------------------------------------------------- memory


def test_a_seven_billion_parameter_model_on_an_80_gib_card() -> None:
    """Llama 7B in bfloat16 keeps 32 layers x 2 x 4096 x 2 bytes = 512 KiB a token; 67 GiB are left beside it."""
    cost = MemoryCost(kept=512 * 1024, computed=200_000)
    found = max_rows(cost, 67 * GIB, longest=700, limit=512, vocab_size=32000, most=256)
    row = 512 * 1024 * (2 * 700 + 512 + 64) + 64 * 32000
    assert found == int((0.8 * 67 * GIB - 8192 * 200_000) / row) == 53
    assert max_rows(cost, 67 * GIB, 700, 512, 32000, most=16) == 16
    assert max_rows(cost, 1 * GIB, 700, 512, 32000, most=256) == 1  # one is tried always


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_a_token_costs_its_keys_and_values(bases: dict[str, Path], name: str) -> None:
    runner = loaded(bases[name]).runner
    assert runner is not None
    cost = batch_size.measure_cost(runner, (5,) * 10)
    if name == "llama":  # 2 layers, keys and values, 2 heads of 8 numbers, 4 bytes
        assert cost.kept == 2 * 2 * 2 * 8 * 4
    assert cost.kept > 0 < cost.computed


def test_free_memory_is_the_machines_within_the_groups_limit(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000 kB\nMemFree:  10 kB\nMemAvailable:    2048 kB\n")
    assert batch_size._machine(meminfo) == 2048 * 1024
    assert batch_size._machine(tmp_path / "none") == batch_size.UNKNOWN
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("3000\n")
    assert batch_size._group(tmp_path) == 2000
    (tmp_path / "memory.max").write_text("max\n")
    assert batch_size._group(tmp_path) == float("inf")
    assert batch_size.free_memory(torch.device("cpu")) > 0


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_auto_probes_once_takes_what_fits_and_changes_no_byte(
    bases: dict[str, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = made(loaded(bases[name], batch_size=3))
    backend = loaded(bases[name], batch_size="auto")
    assert made(backend) == expected
    probes: list[int] = []
    probe = batch_size.measure_cost
    monkeypatch.setattr(batch_size, "measure_cost", lambda *given: probes.append(1) or probe(*given))
    widest: list[int] = []
    runner: Any = backend.runner
    step = runner.step
    runner.step = lambda batch, tokens: widest.append(len(tokens)) or step(batch, tokens)
    monkeypatch.setattr(batch_size, "free_memory", lambda device: float(GIB))
    assert made(backend) == expected
    assert max(widest) == batch_size.MAX_ROWS["cpu"]
    del widest[:]
    monkeypatch.setattr(batch_size, "free_memory", lambda device: 0.0)
    assert made(backend) == expected
    assert (max(widest), probes) == (1, [])


def test_auto_and_0_are_the_same() -> None:
    assert BackendConfig(batch_size="auto") == BackendConfig(batch_size=0) == BackendConfig()  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"backend\.batch_size = 'many'"):
        parse({"task": "conala", "backend": {"batch_size": "many"}})


# ---------------------------------------------------------------- the fast profile


def test_the_fast_profile_computes_nothing_alone_and_says_so(bases: dict[str, Path]) -> None:
    exact, fast = (
        loaded(bases["llama"], dtype="bfloat16", profile=profile, batch_size=8)
        for profile in ("exact", "fast")
    )
    made(exact)
    found = made(fast)
    assert made(fast) == found  # a seed still decides
    assert exact.stats.single > 0 == fast.stats.single
    assert "profile" not in exact.identity
    assert fast.identity["profile"] == "fast"


def test_the_profile_and_the_attention_are_part_of_a_runs_hash_and_the_device_map_is_not() -> None:
    def hashed(**backend: Any) -> str:
        return parse({"task": "conala", "backend": {"model": "m", **backend}}).hash

    plain = hashed()
    assert hashed(profile="exact", attention="auto", device_map="auto", batch_size=7) == plain
    assert len({plain, hashed(profile="fast"), hashed(attention="eager")}) == 3


# ---------------------------------------------------------------- attention, devices


def test_attention_is_the_one_asked_for(bases: dict[str, Path]) -> None:
    for name in ("eager", "sdpa"):
        backend = loaded(bases["llama"], attention=name)
        assert backend.runner is not None
        assert backend.runner.model.config._attn_implementation == name
        assert backend.identity["attention"] == name
    assert "attention" not in loaded(bases["llama"]).identity


def test_flash_attention_that_is_not_installed_is_one_line(bases: dict[str, Path]) -> None:
    from transformers.utils import is_flash_attn_2_available

    assert not is_flash_attn_2_available()
    with pytest.raises(UserError, match=r"cannot load the model in .*[Ff]lash"):
        loaded(bases["llama"], attention="flash_attention_2")


def test_a_device_map_places_the_model_and_changes_no_byte(bases: dict[str, Path]) -> None:
    plain = loaded(bases["llama"])
    spread = loaded(bases["llama"], device_map="cpu")
    assert made(spread, Sampling(max_tokens=6)) == made(plain, Sampling(max_tokens=6))
    with pytest.raises(UserError, match="sideways"):
        loaded(bases["llama"], device_map="sideways")


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ({"model": "m", "device": "cpu", "device_map": "auto"}, "device and device_map exclude each other"),
        ({"kind": "openai", "profile": "fast", "server": {"url": "http://x/v1"}}, "profile has no effect"),
        (
            {"kind": "openai", "attention": "sdpa", "server": {"url": "http://x/v1"}},
            "attention has no effect",
        ),
        ({"model": "m", "profile": "quick"}, "backend.profile = 'quick'"),
    ],
)
def test_keys_that_cannot_act_are_named(backend: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse({"task": "conala", "backend": backend})
