"""Adapters under evaluation: PEFT's own logits, at any batch size, on the right base only, never without effect."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import environment
from harness.backends import check, hf
from harness.backends.hf import checkpoint
from harness.backends.hf.adapters.adapter import Adapter, check_base, find_adapter
from harness.config.backend import BackendConfig
from harness.errors import UserError
from tests.support.adapter_kinds import save_kind
from tests.support.command import harness
from tests.support.parts.hf_engine import GREEDY, lines, requests
from tests.support.tiny_models import ARCHITECTURES, build

KINDS = ("lora", "dora", "ia3", "prompt", "p-tuning", "prefix")
MERGED = ("lora", "dora", "ia3", "rslora", "pissa", "olora", "vera", "loha", "lokr", "oft", "boft", "hra")
SQUARE = {
    "llama": ["q_proj", "o_proj"],
    "codegen": ["out_proj"],
    "t5": ["q", "o"],
}  # attention layers, 32 x 32
TOLERANCE = 1e-4  # of logits up to about 10, float32


def peft_config(kind: str, base: Path) -> Any:
    """As `harness train` makes it, but with weights that already do something."""
    from harness.config.load import checked
    from harness.training import methods
    from harness.training.config import TrainConfig

    plain = {"model": str(base), "method": kind, "device": "cpu", "data": [{"task": "conala"}]}
    config = checked(TrainConfig, plain, "config")
    made = methods.adapter_config(config, methods.load(config))
    if kind in ("lora", "dora"):
        made.init_lora_weights = False
    if kind == "ia3":
        made.init_ia3_weights = False
    return made


def save(kind: str, base: Path, folder: Path, seed: int = 0) -> Any:
    """An adapter with random weights, saved; and the model with it on, PEFT's own."""
    import peft

    with checkpoint.silenced(), torch.random.fork_rng():
        model = checkpoint.from_folder(base, torch.float32)
        torch.manual_seed(seed)
        wrapped = peft.get_peft_model(model, peft_config(kind, base))
        with torch.no_grad():
            for name, weight in wrapped.named_parameters():
                if "ia3" in name:
                    weight.uniform_(0.5, 1.5)
        wrapped.save_pretrained(folder)
    return wrapped.eval()


def engine(base: Path, adapter: Path | str = "", **more: Any) -> Any:
    return hf.load(BackendConfig(model=str(base), adapter=str(adapter), device="cpu", **more))


IDS = tuple(range(40, 60))


def logits(runner: Any) -> torch.Tensor:
    found: torch.Tensor = runner.single(IDS, (7, 8, 9)).logits
    return found


def own_logits(wrapped: Any) -> torch.Tensor:
    """PEFT's forward over the same tokens: the logits after the last one."""
    with torch.no_grad():
        if wrapped.config.is_encoder_decoder:
            out = wrapped(
                input_ids=torch.tensor([IDS]),
                attention_mask=torch.ones(1, len(IDS), dtype=torch.long),
                decoder_input_ids=torch.tensor([[0, 7, 8, 9]]),
            )
        else:
            whole = torch.tensor([[*IDS, 7, 8, 9]])
            out = wrapped(input_ids=whole, attention_mask=torch.ones_like(whole))
    found: torch.Tensor = out.logits[0, -1]
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_acts_as_peft_has_it_and_at_any_batch_size(
    kind: str, architecture: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases[architecture]
    wrapped = save(kind, base, tmp_path / "a")
    one = engine(base, tmp_path / "a", batch_size=1)
    torch.testing.assert_close(logits(one.runner), own_logits(wrapped), rtol=0, atol=TOLERANCE)
    many = engine(base, tmp_path / "a", batch_size=8)
    found = lines(many.generate(requests(), GREEDY))
    assert found == lines(one.generate(requests(), GREEDY))
    together = many.runner.batched_logprobs([IDS, IDS[:5]], [(7, 8, 9), (7,)])
    for (values, _), alone in zip(together, [(IDS, (7, 8, 9)), (IDS[:5], (7,))], strict=True):
        assert values.tolist() == pytest.approx(many.runner.single(*alone).logprobs, abs=TOLERANCE)
    assert many.stats.noise <= 1


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("kind", MERGED)
def test_merged_and_unmerged_agree(
    kind: str, architecture: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases[architecture]
    if kind in KINDS:
        save(kind, base, tmp_path / "a")
    else:
        save_kind(kind, base, tmp_path / "a", target_modules=SQUARE[architecture])
    tuned = engine(base, tmp_path / "a")
    unmerged, texts = logits(tuned.runner), lines(tuned.generate(requests(), GREEDY))
    with checkpoint.silenced():
        import peft

        wrapped = peft.PeftModel.from_pretrained(checkpoint.from_folder(base, torch.float32), tmp_path / "a")
    with checkpoint.silenced():
        wrapped.merge_and_unload().save_pretrained(tmp_path / "merged")
    checkpoint.load_tokenizer(base).save_pretrained(tmp_path / "merged")
    merged = logits(engine(tmp_path / "merged").runner)
    torch.testing.assert_close(
        merged, unmerged, rtol=0, atol=TOLERANCE
    )  # merging rounds each weight once more
    assert lines(engine(tmp_path / "merged").generate(requests(), GREEDY)) == texts
    assert (merged - logits(engine(base).runner)).abs().max() > 100 * TOLERANCE


def test_adapters_change_places_on_one_base_and_leave_nothing_behind(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    base = bases["llama"]
    folders = {}
    for number, kind in enumerate(("lora", "prompt", "ia3", "lora", "prefix")):
        folders[f"{kind}{number}"] = tmp_path / f"{kind}{number}"
        save(kind, base, folders[f"{kind}{number}"], seed=number)
    alone = {
        name: lines(engine(base, folder).generate(requests(), GREEDY)) for name, folder in folders.items()
    }
    assert len(set(map(str, alone.values()))) == len(alone)
    shared = engine(base)
    plain = lines(shared.generate(requests(), GREEDY))
    model = shared.runner.model
    for name in [*folders, *reversed(folders)]:
        shared.set_adapter(str(folders[name]))
        assert shared.runner.model is model
        assert shared.identity["adapter"].startswith(find_adapter(str(folders[name])).digest)
        assert lines(shared.generate(requests(), GREEDY)) == alone[name]
    shared.set_adapter("")
    assert shared.identity["adapter"] == ""
    assert lines(shared.generate(requests(), GREEDY)) == plain


def test_an_adapter_without_effect_is_refused_and_leaves_the_base_as_it_was(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    import peft

    base = bases["llama"]
    config = peft_config("lora", base)
    config.init_lora_weights = True  # as training begins: B is zero
    with checkpoint.silenced():
        peft.get_peft_model(checkpoint.from_folder(base, torch.float32), config).save_pretrained(
            tmp_path / "a"
        )
    shared = engine(base)
    before = logits(shared.runner)
    with pytest.raises(UserError, match="changes nothing: the model's logits are the same"):
        shared.set_adapter(str(tmp_path / "a"))
    assert shared.identity["adapter"] == ""
    assert torch.equal(logits(shared.runner), before)


def test_an_adapter_of_another_base_or_tokenizer_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "a"
    save("lora", bases["llama"], folder)
    record = {
        "base": {
            "model": "acme/coder",
            "weights": checkpoint.weights_digest(bases["llama"]),
            "tokenizer": checkpoint.tokenizer_digest(bases["llama"]),
        }
    }
    (folder / "train.json").write_text(json.dumps(record), encoding="utf-8")
    good = BackendConfig(model=str(bases["llama"]), adapter=str(folder))
    check(good, [])
    other = build("llama", tmp_path / "other", seed=1)
    with pytest.raises(UserError, match=r"was trained on another base: acme/coder"):
        check(BackendConfig(model=str(other), adapter=str(folder)), [])
    record["base"]["tokenizer"] = "0" * 64
    (folder / "train.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(UserError, match=r"was trained on another tokenizer"):
        check(good, [])
    (folder / "train.json").write_text('{"finished": false}', encoding="utf-8")
    with pytest.raises(UserError, match=r"its training was cut off; the same harness train command"):
        check(good, [])
    (folder / "train.json").unlink()
    with pytest.raises(UserError, match="does not fit the model"):
        engine(bases["codegen"], folder)


def test_names_decide_where_an_adapter_has_no_record(tmp_path: Path) -> None:
    one, other = "1" * 40, "2" * 40
    adapter = Adapter("a", tmp_path, "", "LORA", "acme/coder", one)
    check_base(adapter, "acme/coder", tmp_path, one)
    with pytest.raises(
        UserError, match=r"another base: acme/coder, not acme/talker; give --model acme/coder"
    ):
        check_base(adapter, "acme/talker", tmp_path, one)
    with pytest.raises(UserError, match=f"give --revision {one}"):
        check_base(adapter, "acme/coder", tmp_path, other)


def test_an_adapter_of_the_hub_is_taken_at_its_own_revision(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "c" * 40
    root = tmp_path / "models--acme--tuned"
    save("lora", bases["llama"], root / "snapshots" / commit)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert find_adapter("acme/tuned").commit == commit
    assert engine(bases["llama"], f"acme/tuned@{commit}").identity["adapter"].endswith("LORA active")
    with pytest.raises(UserError, match=r"hf download acme/tuned --revision dddd"):
        find_adapter("acme/tuned@dddd")


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_a_quantised_base_takes_an_adapter_and_ignores_the_batch(bits: str, tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base", hidden=64)
    save("lora", base, tmp_path / "a")
    found = []
    for size in (1, 8):
        tuned = engine(base, tmp_path / "a", batch_size=size, quantize=bits)
        assert tuned.identity["dtype"] == f"{bits} float32"
        found.append(lines(tuned.generate(requests(), GREEDY)))
    assert found[0] == found[1]
    full = logits(engine(base, tmp_path / "a").runner)
    rounded = logits(tuned.runner)
    assert 1e-3 < (full - rounded).abs().max() < 0.5 * full.abs().max()


def test_an_adapter_trained_on_a_quantised_base_says_so_on_another(
    bases: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save("lora", bases["llama"], tmp_path / "a")
    record = {"finished": True, "config": {"method": "qlora-4bit"}}
    (tmp_path / "a" / "train.json").write_text(json.dumps(record), encoding="utf-8")
    said = "it was trained on the base in 4bit, and this one is in float32: --set backend.quantize=4bit"
    assert engine(bases["llama"], tmp_path / "a").identity["adapter_warnings"] == said
    assert said in caplog.text


def test_several_adapters_make_a_study_that_loads_the_base_once(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases["llama"]
    names = {kind: str(tmp_path / f"tuned-{kind}") for kind in ("lora", "ia3")}
    for kind, folder in names.items():
        save(kind, base, Path(folder))
    loads = []
    real = checkpoint.load_model
    monkeypatch.setattr(checkpoint, "load_model", lambda *given: loads.append(given) or real(*given))
    common = ("run", "--task", "conala", "--data", "mini", "--limit", "3", "--model", str(base))
    ended = harness(*common, *(f"--adapter={a}" for a in names.values()), "--out", str(tmp_path / "grid"))
    assert ended.code == 0, ended.err
    assert len(loads) == 1
    for kind, adapter in names.items():
        (cell,) = (tmp_path / "grid").glob(f"conala-llama-tuned-{kind}-*")
        alone = tmp_path / f"alone-{kind}"
        assert harness(*common, "--adapter", adapter, "--out", str(alone)).code == 0
        for file in ("generations.jsonl", "judgements.jsonl"):
            assert (cell / file).read_bytes() == (alone / file).read_bytes()
    assert len(loads) == 3


def test_a_run_is_named_after_its_adapter_and_a_table_s_row_after_the_model() -> None:
    backend = BackendConfig(model="acme/coder-7b", adapter="owner/tuned@abc")
    assert environment.run_name(backend) == "coder-7b-tuned"
    assert environment.model_name(backend) == environment.run_name(BackendConfig(model="acme/coder-7b"))
