"""Several LoRA adapters in one batch: each row is what its adapter alone would make of it, to the byte."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backends.hf.adapters import multi_lora, snapshot
from harness.errors import UserError
from harness.runs.store.jsonl import JsonlFile
from harness.schema import Prompt, Request, Sampling
from tests.backends.hf.adapters.test_adapter import engine, save
from tests.support.command import harness
from tests.support.parts.hf_engine import GREEDY, lines, requests
from tests.support.tiny_models import ARCHITECTURES

DRAWN = Sampling(samples=2, temperature=0.8, max_tokens=12)
BEAMS = Sampling(samples=2, beams=2, max_tokens=8)


@pytest.fixture(scope="module")
def tuned(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Three LoRAs of each base: of two ranks, one on other layers."""
    import peft

    from harness.backends.hf import checkpoint

    root = tmp_path_factory.mktemp("tuned")
    found: dict[str, list[Path]] = {}
    layers = {
        "llama": (["q_proj", "v_proj"], ["gate_proj"]),
        "codegen": (["qkv_proj"], ["fc_in", "fc_out"]),
        "t5": (["q", "v"], ["wi", "wo"]),
    }
    for name, base in bases.items():
        for number, (rank, target) in enumerate(((4, 0), (8, 0), (4, 1))):
            torch.manual_seed(number)
            config = peft.LoraConfig(
                r=rank,
                target_modules=layers[name][target],
                init_lora_weights=False,
                task_type="SEQ_2_SEQ_LM" if name == "t5" else "CAUSAL_LM",
            )
            folder = root / f"{name}{number}"
            with checkpoint.silenced():
                peft.get_peft_model(checkpoint.from_folder(base, torch.float32), config).save_pretrained(
                    folder
                )
            found.setdefault(name, []).append(folder)
    return found


def texts_of(adapters: list[Path | str]) -> list[str]:
    return [str(adapter) for adapter in adapters]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("sampling", [GREEDY, DRAWN, BEAMS], ids=["greedy", "drawn", "beams"])
def test_every_adapter_s_rows_are_those_of_a_run_of_its_own(
    sampling: Sampling, architecture: str, bases: dict[str, Path], tuned: dict[str, list[Path]]
) -> None:
    base = bases[architecture]
    asked = requests(samples=sampling.samples)
    adapters: list[Path | str] = ["", *tuned[architecture]]
    shared = engine(base, batch_size=5)
    identities = shared.attach_adapters(texts_of(adapters))
    assert identities is not None
    found: dict[int, list[Any]] = {number: [] for number in range(len(adapters))}
    for number, made in shared.generate_mixed(dict.fromkeys(found, asked), sampling):
        found[number].append(made)
    assert shared.stats.noise <= 1
    texts = set()
    for number, adapter in enumerate(adapters):
        alone = engine(base, adapter, batch_size=3)
        assert identities[number] == alone.identity
        expected = lines(alone.generate(asked, sampling))
        assert lines(found[number]) == expected
        texts.add(str(expected))
    assert len(texts) == len(adapters)
    plain = shared.detach_adapter()
    assert plain.mixed is None
    assert lines(shared.generate(asked, sampling)) == lines(engine(base).generate(asked, sampling))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_without_rechecks_adapters_go_on_in_16_bit_floats_as_with_them(
    dtype: str, bases: dict[str, Path], tuned: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.backends.hf import scheduler

    adapters, roundings = tuned["llama"], []
    real = scheduler.check_forward
    monkeypatch.setattr(
        scheduler, "check_forward", lambda *given: roundings.append(given[-1]) or real(*given)
    )
    shared = engine(bases["llama"], adapters[0], dtype=dtype, profile="fast")
    assert roundings == [scheduler.TOLERANCE[getattr(torch, dtype)]]
    assert shared.attach_adapters(texts_of([*adapters, ""])) is not None
    assert shared.tolerance == 0.0


def test_what_the_layers_wrap_is_hashed_once_for_all_adapters(
    bases: dict[str, Path], tuned: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, hashed = engine(bases["llama"]), list[torch.Tensor]()
    own = {id(tensor) for tensor in shared.runner.model.parameters()}
    real = snapshot._sha256
    monkeypatch.setattr(snapshot, "_sha256", lambda tensor: hashed.append(tensor) or real(tensor))
    assert shared.attach_adapters(texts_of([*tuned["llama"]])) is not None
    of_base = [id(tensor) for tensor in hashed if id(tensor) in own]
    assert 0 < len(of_base) == len(set(of_base)) < len(hashed)


def test_prompts_that_begin_alike_are_begun_once_for_each_adapter(
    bases: dict[str, Path], tuned: dict[str, list[Path]]
) -> None:
    shots = "".join(f"### Instruction:\nadd {n} to x\n### Response:\nx + {n}\n" for n in range(3))
    asked = [Request(name, Prompt(text=shots + name), (0,)) for name in ("print x", "sort y", "self.z = 1")]
    adapters: list[Path | str] = [*tuned["llama"], ""]
    shared = engine(bases["llama"])
    assert shared.attach_adapters(texts_of(adapters)) is not None
    found: dict[int, list[Any]] = {number: [] for number in range(len(adapters))}
    for number, made in shared.generate_mixed(dict.fromkeys(found, asked), GREEDY):
        found[number].append(made)
    reused = 0
    for number, adapter in enumerate(adapters):
        alone = engine(bases["llama"], adapter)
        assert lines(found[number]) == lines(alone.generate(asked, GREEDY))
        reused += alone.stats.reused
    assert shared.stats.reused == reused > 0


@settings(max_examples=40, deadline=None)
@given(
    ranks=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    rows=st.lists(st.integers(-1, 3), min_size=1, max_size=6),
    length=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_a_stack_adds_to_each_row_what_its_own_adapter_does(
    ranks: list[int], rows: list[int], length: int, seed: int
) -> None:
    chance = torch.Generator().manual_seed(seed)
    downs = [torch.randn(rank, 6, generator=chance) for rank in ranks]
    ups = [torch.randn(4, rank, generator=chance) for rank in ranks]
    owner = [number for number, rank in enumerate(ranks) for _ in range(rank)]
    stack = multi_lora.StackedLora(torch.cat(downs), torch.cat(ups, dim=1), torch.tensor(owner))
    x = torch.randn(len(rows), length, 6, generator=chance)
    found = stack(x, torch.tensor(rows))
    for row, number in enumerate(rows):
        known = 0 <= number < len(ranks)  # an adapter may leave a layer alone
        expected = x[row] @ downs[number].T @ ups[number].T if known else torch.zeros(length, 4)
        torch.testing.assert_close(found[row], expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_plain_lora_is_not_mixed(
    bases: dict[str, Path], tuned: dict[str, list[Path]], tmp_path: Path
) -> None:
    base = bases["llama"]
    for kind in ("dora", "ia3", "prompt"):
        save(kind, base, tmp_path / kind)
        shared = engine(base)
        before = lines(shared.generate(requests(), GREEDY))
        assert shared.attach_adapters(texts_of([tuned["llama"][0], tmp_path / kind])) is None
        assert shared.identity["adapter"] == ""
        assert lines(shared.generate(requests(), GREEDY)) == before


def test_one_that_does_not_fit_or_changes_nothing_is_named_and_none_stays_on(
    bases: dict[str, Path], tuned: dict[str, list[Path]], tmp_path: Path
) -> None:
    import peft
    from safetensors.torch import load_file, save_file

    base = bases["llama"]
    empty = tmp_path / "empty"
    save("lora", base, empty)
    weights = load_file(empty / "adapter_model.safetensors")
    save_file({name: torch.zeros_like(w) for name, w in weights.items()}, empty / "adapter_model.safetensors")
    assert peft.LoraConfig.from_pretrained(str(empty)).r == 16
    for wrong, message in ((empty, "changes nothing"), (tuned["codegen"][0], "does not fit the model")):
        shared = engine(base)
        before = lines(shared.generate(requests(), GREEDY))
        with pytest.raises(UserError, match=message):
            shared.attach_adapters(texts_of([tuned["llama"][0], wrong]))
        assert lines(shared.generate(requests(), GREEDY)) == before


def test_a_study_generates_its_adapters_together_and_goes_on_where_it_was_cut_off(
    bases: dict[str, Path], tuned: dict[str, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases["llama"]
    common = ("run", "--task", "conala", "--data", "mini", "--limit", "4", "--model", str(base))
    common += ("--set", "sampling.max_tokens=8")
    flags = [f"--adapter={folder}" for folder in tuned["llama"]]
    made = 0
    real = multi_lora.attach_adapters
    calls = []
    monkeypatch.setattr(multi_lora, "attach_adapters", lambda *given: calls.append(given) or real(*given))

    append = JsonlFile.append

    def stop(self: Any, value: Any) -> None:
        nonlocal made
        made += 1
        if made > 5:
            raise KeyboardInterrupt
        append(self, value)

    with monkeypatch.context() as patched:
        patched.setattr(JsonlFile, "append", stop)
        assert harness(*common, *flags, "--out", str(tmp_path / "grid")).code != 0
    rows = sum(p.read_text().count("\n") for p in (tmp_path / "grid").glob("*/generations.jsonl"))
    assert rows == 5

    def never(*given: Any) -> Any:
        raise AssertionError("a cell generated by itself")

    with monkeypatch.context() as patched:
        patched.setattr("harness.backends.hf.scheduler.Engine.generate", never)
        ended = harness(*common, *flags, "--out", str(tmp_path / "grid"))
    assert ended.code == 0, ended.err
    assert len(calls) == 2
    for folder in tuned["llama"]:
        (cell,) = (tmp_path / "grid").glob(f"conala-llama-{folder.name}-*")
        alone = tmp_path / f"alone-{folder.name}"
        assert harness(*common, "--adapter", str(folder), "--out", str(alone)).code == 0
        for file in ("run.json", "generations.jsonl", "judgements.jsonl"):
            assert (cell / file).read_bytes() == (alone / file).read_bytes()
        timings = [json.loads(line) for line in (cell / "timings.jsonl").read_text().splitlines()]
        assert sum(row["samples"] for row in timings if row["stage"] == "generate") == 4
