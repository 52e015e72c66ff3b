"""Runs end with the same bytes with and without the completion cache; `harness cache` shows and empties it."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.backends import completion_cache
from harness.backends.hf import checkpoint
from harness.config import grid
from harness.config.load import COMPLETIONS, parse
from harness.config.run import REFERENCES, VERDICTS
from harness.errors import IncompleteRun
from harness.runs import run, study
from harness.runs.store import reader
from tests.support import tiny_models
from tests.support.command import Ended, harness, rows
from tests.support.faulty_server import World, asked, serving
from tests.support.parts.completion_cache import config, identity, made, put


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {
        name: tiny_models.build("llama", folder / name, seed=seed) for name, seed in (("one", 1), ("two", 2))
    }


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of this test's own, as the command line finds it."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HARNESS_NO_CACHE")
    return tmp_path / "cache" / COMPLETIONS


def evaluate(model: Path, out: Path, *more: object, samples: int = 2, limit: int = 3) -> Ended:
    drawn = ("--samples", samples, "--set", "sampling.temperature=0.8", "--set", "sampling.max_tokens=12")
    given = ("--task", "conala", "--data", "mini", "--limit", limit, "--model", model, "--out", out)
    ended = harness("run", *given, *drawn, "--set", "backend.device=cpu", *more)
    assert ended.code == 0, ended
    return ended


def stages(out: Path) -> dict[str, int]:
    return {row["stage"]: row["samples"] for row in rows(out / "timings.jsonl") if "samples" in row}


def test_runs_end_with_the_same_bytes_with_and_without_a_store(
    models: dict[str, Path], tmp_path: Path, store: Path
) -> None:
    out = tmp_path / "out"
    small = evaluate(models["one"], out / "first")
    again = evaluate(models["one"], out / "again")
    larger = evaluate(models["one"], out / "larger", samples=3, limit=4)
    plain = evaluate(models["one"], out / "plain", "--no-cache", samples=3, limit=4)
    assert stages(out / "first") == {"generate": 6}
    assert stages(out / "again") == {"reuse": 6}
    assert stages(out / "larger") == {"reuse": 6, "generate": 6}
    assert stages(out / "plain") == {"generate": 12}
    for one, other in (("first", "again"), ("larger", "plain")):
        for name in ("generations.jsonl", "judgements.jsonl", "run.json"):
            assert (out / one / name).read_bytes() == (out / other / name).read_bytes(), (one, name)
    assert "reused" not in small.out + plain.out
    assert "6 of 6 samples were reused from the completion cache (--no-cache regenerates)" in again.out
    assert "6 of 12 samples were reused" in larger.out
    (note,) = [n for n in json.loads((out / "larger/summary.json").read_text())["notes"] if "reused" in n]
    assert note.startswith("6 of 12")
    costs = {name: reader.cost(reader.read(out / name)) for name in ("larger", "plain")}
    assert "generation seconds" in costs["plain"]
    assert "generation seconds" not in costs["larger"], "what it would have taken is not known"
    del costs["plain"]["generation seconds"]
    assert costs["larger"] == costs["plain"]
    evaluate(models["one"], out / "larger", samples=3, limit=4)
    assert stages(out / "larger") == {"reuse": 6, "generate": 6}, "what is on disk is neither made nor reused"


def test_no_cache_neither_reads_nor_writes(models: dict[str, Path], tmp_path: Path, store: Path) -> None:
    evaluate(models["one"], tmp_path / "a", "--no-cache")
    assert not store.exists()
    evaluate(models["one"], tmp_path / "b", "--set", "cache=")
    assert not store.exists()
    evaluate(models["one"], tmp_path / "c")
    evaluate(models["one"], tmp_path / "d", "--no-cache")
    assert stages(tmp_path / "d") == {"generate": 6}


def test_from_python_no_store_is_used_unless_one_is_named(models: dict[str, Path], tmp_path: Path) -> None:
    assert parse({"task": "conala"}).cache == ""


def test_two_models_under_one_name_never_share_completions(
    models: dict[str, Path], tmp_path: Path, store: Path
) -> None:
    link = tmp_path / "model"
    for name in ("one", "two", "one"):
        link.unlink(missing_ok=True)
        link.symlink_to(models[name])
        evaluate(link, tmp_path / "out" / name)
    texts = [(tmp_path / "out" / name / "generations.jsonl").read_text() for name in ("one", "two")]
    assert texts[0] != texts[1]
    assert stages(tmp_path / "out" / "two") == {"generate": 6}


def test_two_adapters_on_one_base_never_share_completions(
    models: dict[str, Path], tmp_path: Path, store: Path
) -> None:
    import peft
    import torch

    for seed in (1, 2):
        torch.manual_seed(seed)
        settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        with checkpoint.silenced():
            base = checkpoint.from_folder(models["one"], torch.float32)
            peft.get_peft_model(base, settings).save_pretrained(tmp_path / "adapters" / str(seed))
    plain = {
        "task": "conala",
        "data": "mini",
        "limit": 2,
        "cache": str(store),
        "backend": {"model": str(models["one"]), "device": "cpu"},
        "sampling": {"max_tokens": 12},
        "matrix": {"adapter": ["", *(str(tmp_path / "adapters" / seed) for seed in "12")]},
    }
    outcome = study.run(grid.expand(plain, "test"), tmp_path / "runs")
    assert outcome.failed == []
    folders = [folder for _, folder, _ in outcome.done]
    assert [stages(folder) for folder in folders] == [{"generate": 2}] * 3
    again = study.run(grid.expand(plain, "test"), tmp_path / "again")
    assert [stages(folder) for _, folder, _ in again.done] == [{"reuse": 2}] * 3
    written = [(folder / "generations.jsonl").read_bytes() for folder in folders]
    assert written == [(folder / "generations.jsonl").read_bytes() for _, folder, _ in again.done]
    assert len(set(written)) == 3


def test_a_run_that_a_fault_ended_leaves_what_it_made_to_others(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(World()) as world:
        world.plan = lambda number, body: "status 500" if number == 4 else ""
        server = {"url": world.url, "weights": "w1", "concurrency": 1, "retries": 0}
        plain = {"task": "conala", "data": "mini", "limit": 8, "cache": str(store)}
        plain["backend"] = {"kind": "openai", "model": "m", "server": server}
        with pytest.raises(IncompleteRun, match="7 of 8 samples are kept; rerun the same command to resume"):
            run.run(parse(plain), tmp_path / "first")
        world.plan = lambda number, body: ""
        _, summary = run.run(parse(plain), tmp_path / "other")
        assert len(world.bodies) == 8 + 1  # one that fails stops no others
        assert stages(tmp_path / "other") == {"reuse": 7, "generate": 1}
        assert any(note.startswith("7 of 8 samples were reused") for note in summary.notes)
        assert len({asked(body) for body in world.bodies}) == 8
        run.run(parse(plain | {"cache": ""}), tmp_path / "plain")
    for name in ("other", "plain"):
        kept = (tmp_path / name / "generations.jsonl").read_bytes()
        assert kept == (tmp_path / "plain" / "generations.jsonl").read_bytes()


def test_a_run_beside_a_damaged_store_warns_and_ends_well(
    models: dict[str, Path], tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.parent.mkdir()
    store.write_bytes(b"\0" * 5000)
    evaluate(models["one"], tmp_path / "out")
    assert "cannot be used" in caplog.text
    assert stages(tmp_path / "out") == {"generate": 6}


REST = "completions, 0 verdicts and 0 references deleted"


def test_the_command_shows_and_empties_the_store(
    models: dict[str, Path], tmp_path: Path, store: Path
) -> None:
    assert harness("cache").out.splitlines() == [
        f"0.0 MB in {store}; limit 4,295 MB, oldest deleted first",
        f"0.0 MB in {store.with_name(VERDICTS)}; limit 1,074 MB, oldest deleted first",
        f"0.0 MB in {store.with_name(REFERENCES)}; limit 268 MB, oldest deleted first",
    ]
    evaluate(models["one"], tmp_path / "a")
    evaluate(models["two"], tmp_path / "b")
    shown = harness("cache").out.splitlines()
    assert len(shown) == 5
    assert all(line.split()[:2] == ["6", "completions"] and "float32, hf" in line for line in shown[:2])
    assert len(harness("cache", "--clear").out.splitlines()) == 3
    evaluate(models["one"], tmp_path / "c")
    assert stages(tmp_path / "c") == {"generate": 6}
    store.write_bytes(b"no database" * 100)
    ended = harness("cache")
    assert ended.code == 3
    assert f"{store} cannot be read: file is not a database; delete it" in ended.err


def test_the_command_finds_and_drops_what_was_kept_under_an_older_identity_or_of_one_adapter(
    store: Path,
) -> None:
    def kept(**more: str) -> dict[str, Any]:
        found = completion_cache.identity(identity(weights="w" * 64, **more), config())
        assert found is not None
        return found

    put(
        store, made("p/0"), made("p/1"), model=kept(adapter="a1b2c3 LORA active")
    )  # before "loaded" was known
    put(store, made("p/0"), model=kept(loaded="1111" * 16))
    put(store, made("p/0"), model=kept(loaded="2222" * 16, adapter="a1b2c3 LORA active"))
    put(store, made("p/0"), model=kept(loaded="3333" * 16) | {"harness": "0.0"})
    shown = harness("cache").out.splitlines()
    assert [line.endswith(", old") for line in shown[:4]] == [True, False, False, True]
    assert shown[4] == "old: no run of this version reuses them; harness cache --drop old deletes them"
    assert harness("cache", "--drop", "old").out.splitlines()[0] == f"3 {REST}"
    left = harness("cache", "--drop", "9999").out.splitlines()
    assert left[0] == f"0 {REST}"
    assert ["loaded 111111111111" in left[1], "adapter a1b2c3 LORA" in left[2], len(left)] == [True, True, 6]
    assert harness("cache", "--drop", "a1b2c3").out.splitlines()[0] == f"1 {REST}"
    assert harness("cache", "--drop", "1111").out.splitlines()[0] == f"1 {REST}"
    assert "at least 4 characters of a digest" in harness("cache", "--drop", "111").complaint
