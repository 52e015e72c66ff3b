"""An adapter leaves no trace: whatever it was, and however it ended, the base is what it was, to the bit."""

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends.hf import checkpoint, scheduler
from harness.backends.hf.adapters import snapshot
from harness.backends.hf.adapters.snapshot import ModelSnapshot
from harness.errors import BackendFault, UserError
from tests.backends.hf.adapters.test_adapter import IDS, engine
from tests.support.adapter_kinds import KINDS, WITH_BIASES, save_kind
from tests.support.command import harness, rows
from tests.support.parts.hf_engine import GREEDY, lines, requests
from tests.support.tiny_models import build

OVERWRITES = {"olora", "bias-all", "bias-lora", "replicated"}  # what these write into cannot be put back
DRAWS = {"pissa-niter"}  # PEFT's own base differs between two loads


def base_of(kind: str, bases: dict[str, Path]) -> Path:
    return bases["codegen" if kind in WITH_BIASES else "llama"]


def logits(shared: Any) -> torch.Tensor:
    found: torch.Tensor = shared.runner.single(IDS, (7, 8)).logits
    return found


def peft_logits(wrapped: Any) -> torch.Tensor:
    ids = torch.tensor([[*IDS, 7, 8]])
    with torch.no_grad():
        found: torch.Tensor = wrapped(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
    return found


def told(shared: Any) -> list[str]:
    said: list[str] = []
    shared.base._warn = said.append
    return said


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of shira
@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_acts_as_peft_has_it_and_the_base_is_to_the_bit_what_it_was_before(
    kind: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    base = base_of(kind, bases)
    wrapped = save_kind(kind, base, tmp_path / kind)
    shared = engine(base)
    said, before, model = told(shared), logits(shared), shared.runner.model
    loaded = shared.identity["loaded"]
    for _ in range(2):
        shared.set_adapter(str(tmp_path / kind))
        assert not torch.equal(logits(shared), before)
        if kind not in DRAWS:
            torch.testing.assert_close(logits(shared), peft_logits(wrapped), rtol=0, atol=1e-4)
        assert shared.identity["loaded"] not in ("", loaded)
        shared.set_adapter("")
        assert torch.equal(logits(shared), before)
        assert shared.identity["loaded"] == loaded == ModelSnapshot(shared.runner.model).digest
    assert (shared.runner.model is not model) == (kind in OVERWRITES)
    assert [line.split(" (")[0] for line in said] == (
        [f"adapter {tmp_path / kind} changed the base itself"] if kind in OVERWRITES else []
    )


def test_adapters_one_after_another_are_those_of_runs_of_their_own(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base, shared = bases["llama"], engine(bases["llama"])
    alone = {}
    for kind in ("pissa", "olora", "head-saved", "lora"):
        save_kind(kind, base, tmp_path / kind)
        single = engine(base, tmp_path / kind)
        alone[kind] = (single.identity, lines(single.generate(requests(), GREEDY)))
    for kind in (*alone, *reversed(alone)):
        shared.set_adapter(str(tmp_path / kind))
        assert (shared.identity, lines(shared.generate(requests(), GREEDY))) == alone[kind]


def test_two_that_take_their_part_out_of_the_base_never_share_a_batch(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base, shared = bases["llama"], engine(bases["llama"])
    before = logits(shared)
    for seed, kind in enumerate(("pissa", "olora")):
        save_kind(kind, base, tmp_path / kind, seed)
    assert shared.attach_adapters(["", str(tmp_path / "pissa"), str(tmp_path / "olora")]) is None
    assert torch.equal(logits(shared), before)


def test_after_a_fault_the_base_is_what_it_was(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import peft

    base, shared = bases["llama"], engine(bases["llama"])
    before = logits(shared)
    save_kind("olora", base, tmp_path / "olora")
    with monkeypatch.context() as patched:

        def stop(*given: Any, **more: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr(peft.PeftModel, "load_adapter", stop)  # the layers are wrapped, and nothing is loaded
        with pytest.raises(KeyboardInterrupt):
            shared.set_adapter(str(tmp_path / "olora"))
    assert shared.identity["adapter"] == ""
    assert torch.equal(logits(shared), before)
    shared.set_adapter(str(tmp_path / "olora"))
    with pytest.raises(UserError):
        shared.set_adapter(str(tmp_path / "none"))
    assert torch.equal(logits(shared), before)


def test_what_was_replaced_is_put_back_and_what_was_written_into_is_named(bases: dict[str, Path]) -> None:
    model = checkpoint.from_folder(bases["llama"], torch.float32)
    saved = ModelSnapshot(model)
    layer = model.model.layers[0].self_attn
    model.model.layers[0].mlp = torch.nn.Identity()
    layer.q_proj.weight.data = torch.zeros_like(layer.q_proj.weight)
    layer.k_proj.weight = torch.nn.Parameter(torch.zeros_like(layer.k_proj.weight))
    layer.register_forward_hook(lambda *given: None)
    layer.is_causal = "no"
    model.model.layers.append(torch.nn.Identity())
    assert saved.restore() == []
    assert ModelSnapshot(model).digest == saved.digest
    assert layer.is_causal is True
    assert not layer._forward_hooks
    with torch.no_grad():
        layer.v_proj.weight[0, 0] += 1
    model.config.tie_word_embeddings = True
    assert saved.restore() == ["config.tie_word_embeddings", "model.layers.0.self_attn.v_proj.weight"]


def test_a_change_that_leaves_no_mark_is_seen_in_the_logits(bases: dict[str, Path], tmp_path: Path) -> None:
    shared = engine(bases["llama"])
    said, before = told(shared), logits(shared)
    save_kind("lora", bases["llama"], tmp_path / "lora")
    shared.set_adapter(str(tmp_path / "lora"))
    with torch.inference_mode():
        shared.runner.model.model.norm.weight.data.mul_(2.0)  # not a module of the adapter's
    shared.set_adapter("")
    assert torch.equal(logits(shared), before)
    assert said == [
        f"adapter {tmp_path / 'lora'} changed the base itself (a probe's logits): the base is loaded anew after it"
    ]


def test_a_base_whose_files_changed_meanwhile_is_a_fault(tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base")
    save_kind("olora", base, tmp_path / "olora")
    shared = engine(base)
    shared.set_adapter(str(tmp_path / "olora"))
    build("llama", base, seed=1)
    with pytest.raises(BackendFault, match="the base was loaded anew and is not what it was: have its files"):
        shared.set_adapter("")
    with pytest.raises(BackendFault, match="closed"):  # not the new base under the adapter's name
        list(shared.generate(requests(), GREEDY))


@pytest.mark.parametrize("refused", [False, True])
def test_the_old_base_is_out_of_memory_before_it_is_loaded_anew(
    refused: bool, bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_kind("olora", bases["llama"], tmp_path / "olora")
    shared = engine(bases["llama"])
    old, real, there = weakref.ref(shared.runner.model), shared.base._load, list[bool]()
    shared.base._load = lambda: there.append(old() is not None) or real()

    def in_a_cycle(line: str) -> None:
        cycle: list[Any] = [shared.runner.model]  # as a layer's own forward function makes one
        cycle.append(cycle)

    shared.base._warn = in_a_cycle

    def refuse(*given: Any) -> None:
        raise UserError("not supported")

    if refused:
        monkeypatch.setattr(scheduler, "check_forward", refuse)
        with pytest.raises(UserError):
            shared.set_adapter(str(tmp_path / "olora"))
    else:
        shared.set_adapter(str(tmp_path / "olora"))
        shared.set_adapter("")
    assert there == [False]


@pytest.mark.parametrize("error", [UserError("no such file"), torch.OutOfMemoryError("no room")])
def test_a_base_that_cannot_be_loaded_anew_is_a_fault(
    error: Exception, bases: dict[str, Path], tmp_path: Path
) -> None:
    save_kind("olora", bases["llama"], tmp_path / "olora")
    shared = engine(bases["llama"], tmp_path / "olora")

    def fail() -> None:
        raise error

    shared.base._load = fail
    with pytest.raises(
        BackendFault, match=f"the base cannot be loaded anew: {type(error).__name__}: {error}"
    ):
        shared.set_adapter("")


def test_only_touched_modules_are_hashed_again(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = engine(bases["llama"])
    save_kind("lora", bases["llama"], tmp_path / "lora")
    hashed: list[int] = []
    real = snapshot._sha256
    monkeypatch.setattr(snapshot, "_sha256", lambda tensor: hashed.append(tensor.numel()) or real(tensor))
    shared.set_adapter(str(tmp_path / "lora"))
    shared.set_adapter("")
    whole = sum(each.numel() for each in shared.runner.model.parameters())
    assert 0 < sum(hashed) < whole / 2


def test_a_study_gives_the_bytes_of_three_runs_with_the_cache_and_without(
    bases: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    base = bases["llama"]
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_NO_CACHE", raising=False)
    for kind in ("olora", "lora"):
        save_kind(kind, base, tmp_path / f"tuned-{kind}")
    first, last = (str(tmp_path / f"tuned-{kind}") for kind in ("olora", "lora"))
    common = ("run", "--task", "conala", "--data", "mini", "--limit", "3", "--model", str(base))
    common += ("--set", "sampling.max_tokens=8", "--set", "backend.device=cpu")
    alone = {}
    for name, adapter in (("first", first), ("base", ""), ("last", last)):
        flags = ("--adapter", adapter) if adapter else ()
        ended = harness(*common, *flags, "--no-cache", "--out", str(tmp_path / name))
        assert ended.code == 0, ended.err
        alone[name] = files(tmp_path / name)
    assert len({found["generations.jsonl"] for found in alone.values()}) == 3
    grid = tmp_path / "grid.toml"
    grid.write_text(f"[matrix]\nadapter = {json.dumps([first, '', last])}\n", encoding="utf-8")
    for number, flags in enumerate(((), (), ("--no-cache",))):
        out = tmp_path / f"grid{number}"
        caplog.clear()
        ended = harness(common[0], str(grid), *common[1:], *flags, "--out", str(out))
        assert ended.code == 0, ended.err
        assert caplog.text.count("changed the base itself") == 1
        cells = {str(found["run.json"]): found for found in map(files, out.glob("conala-*"))}
        assert cells == {str(found["run.json"]): found for found in alone.values()}
    reused = [
        row
        for path in (tmp_path / "grid1").glob("*/timings.jsonl")
        for row in rows(path)
        if row["stage"] == "reuse"
    ]
    assert sum(row["samples"] for row in reused) == 9


def files(folder: Path) -> dict[str, bytes]:
    return {
        name: (folder / name).read_bytes() for name in ("run.json", "generations.jsonl", "judgements.jsonl")
    }
