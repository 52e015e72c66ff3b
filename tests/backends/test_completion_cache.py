"""The completion cache: the same bytes as without it, nothing of another model's, no harm whatever befalls its file."""

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends import completion_cache
from harness.backends.completion_cache import CompletionCache
from harness.backends.hf import checkpoint
from harness.config import grid
from harness.config.backend import BackendConfig, ServerConfig
from harness.config.load import COMPLETIONS, parse
from harness.errors import IncompleteRun
from harness.runs import run, study
from harness.runs.store import reader
from harness.schema import Completion, Generation, Message, Prompt, Request, Sampling
from tests.support import tiny_models
from tests.support.command import Ended, harness, rows
from tests.support.faulty_server import World, asked, serving
from tests.support.paths import ROOT

DRAWN = Sampling(samples=3, temperature=0.8, max_tokens=16, seed=1)
GREEDY = Sampling(max_tokens=16)
ASKED = Prompt(text="q")
MODEL = {"backend": {"kind": "hf", "weights": "w1", "adapter": "", "dtype": "float32", "engine": "hf 1"}}


def made(name: str = "p/0", index: int = 0, text: str = "x = 1", prompt: Prompt = ASKED) -> Generation:
    completion = Completion(text=text, finish="eos", prompt_tokens=3, completion_tokens=4, logprob=-1.25)
    return Generation(problem_id=name, index=index, prompt_sha=prompt.sha, completion=completion)


def found(
    file: Path, model: Any = MODEL, sampling: Sampling = DRAWN, prompt: Prompt = ASKED, **more: Any
) -> list[str]:
    """The texts found for one sample of one problem."""
    request = Request(more.pop("name", "p/0"), prompt, (more.pop("index", 0),))
    with CompletionCache(file, model, sampling, **more) as known:
        return [each.completion.text for each in known.find([request])]


def put(
    file: Path, *samples: Generation, model: Any = MODEL, sampling: Sampling = DRAWN, **more: Any
) -> None:
    with CompletionCache(file, model, sampling, **more) as known:
        for sample in samples:
            known.add(ASKED, sample)


# ---------------------------------------------------------------- what is found


def test_what_was_kept_is_found_as_it_was(tmp_path: Path) -> None:
    sample = made(text='é\n"\\ \ud7ff \x00')
    put(tmp_path / "a", sample)
    with CompletionCache(tmp_path / "a", MODEL, DRAWN) as known:
        assert list(known.find([Request("p/0", ASKED, (0, 1))])) == [sample]


@pytest.mark.parametrize(
    "other",
    [
        {"model": {"backend": MODEL["backend"] | {key: "other"}}}
        for key in ("weights", "adapter", "dtype", "engine")
    ]
    + [
        {"sampling": DRAWN.model_copy(update=change)}
        for change in (
            {"temperature": 0.7},
            {"top_p": 0.9},
            {"top_k": 5},
            {"max_tokens": 17},
            {"stop": ("\n",)},
            {"seed": 2},
            {"banned_tokens": (3,)},
            {"count_penalty": 1.1},
            {"repetition_penalty": 1.1},
        )
    ]
    + [
        {"prompt": Prompt(text="q ")},
        {"prompt": Prompt(messages=(Message(role="user", content="q"),))},
        {"index": 1},
        {"name": "p/1"},
    ],
    ids=str,
)
def test_whatever_differs_nothing_is_found(tmp_path: Path, other: dict[str, Any]) -> None:
    put(tmp_path / "a", made())
    assert found(tmp_path / "a") == ["x = 1"]
    assert found(tmp_path / "a", **other) == []


def test_the_number_of_samples_does_not_matter_and_in_beams_does(tmp_path: Path) -> None:
    put(tmp_path / "a", made())
    assert found(tmp_path / "a", sampling=DRAWN.model_copy(update={"samples": 9})) == ["x = 1"]
    beams = Sampling(samples=2, beams=4)
    put(tmp_path / "a", made(), sampling=beams)
    assert found(tmp_path / "a", sampling=beams) == ["x = 1"]
    assert found(tmp_path / "a", sampling=beams.model_copy(update={"samples": 3})) == []


def test_a_greedy_answer_is_the_prompts_a_drawn_one_the_problems(tmp_path: Path) -> None:
    for sampling, wanted in ((GREEDY, ["x = 1"]), (DRAWN, [])):
        put(tmp_path / "a", made(), sampling=sampling)
        assert found(tmp_path / "a", sampling=sampling, name="another/0") == wanted


def config(**more: Any) -> BackendConfig:
    return BackendConfig(**{"model": "m", **more})


def identity(**more: str) -> dict[str, str]:
    """That of a loaded hf backend."""
    plain = {"kind": "hf", "model": "m", "revision": "", "weights": "w1", "adapter": "", "dtype": "float32"}
    return plain | {"device": "cpu", "engine": "hf 1, torch 2"} | more


def test_a_model_is_known_by_its_digests_and_not_by_its_name() -> None:
    base = completion_cache.identity(identity(), config())
    assert base is not None
    same = [
        (identity(model="elsewhere/m", revision="c1"), config(model="elsewhere/m", revision="c1")),
        (identity(), config(batch_size=64, price_in=1.0, price_out=2.0)),
        (identity(), config(adapter="a folder whose digest says what it is")),
        (identity(), config(dtype="float32")),
    ]
    assert [completion_cache.identity(*each) for each in same] == [base] * len(same)
    others = [
        identity(weights="w2"),
        identity(adapter="d1 LORA active"),
        identity(adapter="d2 LORA active"),
        identity(loaded="another in memory"),
        identity(dtype="4bit float32"),
        identity(engine="hf 1, torch 3"),
        identity(device="cuda NVIDIA H100"),
    ]
    assert (
        len({json.dumps(completion_cache.identity(each, config())) for each in others} | {json.dumps(base)})
        == 8
    )


def test_another_number_of_cores_is_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    base = completion_cache.identity(identity(), config())
    monkeypatch.setattr(completion_cache, "hardware", lambda: {"machine": "x86_64", "cores": 4097})
    assert completion_cache.identity(identity(), config()) != base


def test_a_server_is_remembered_only_under_a_name_for_its_weights() -> None:
    def of(url: str = "http://h/v1", weights: str = "", **more: Any) -> dict[str, Any] | None:
        server = ServerConfig(url=url, weights=weights, **more)
        told = {"kind": "openai", "model": "m", "engine": "openai api", "api": "auto", "url": url}
        told |= {"weights": weights} if weights else {}
        return completion_cache.identity(told, config(kind="openai", server=server))

    assert of() is None
    assert of(weights="w1") is not None
    assert of(weights="w1", concurrency=64, retries=0, key_env="K") == of(weights="w1")
    kinds = [of(weights="w1"), of(weights="w2"), of("http://other/v1", "w1"), of(weights="w1", api="chat")]
    kinds += [of(weights="w1", extra={"top_k": 3}), of(weights="w1", omit=("seed",))]
    assert len({json.dumps(each) for each in kinds}) == 6
    assert (
        completion_cache.identity({"kind": "replay", "completions": "sha"}, config(kind="replay", path="x"))
        is None
    )


# ---------------------------------------------------------------- whole runs


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


# ---------------------------------------------------------------- the file


def fill(file: Path, worker: int, count: int) -> None:
    with CompletionCache(file, {"backend": f"worker {worker % 2}"}, DRAWN, warn=fail) as known:
        for i in range(count):
            known.add(ASKED, made(f"p/{i}", text=f"{worker % 2} {i}"))
            if i % 7 == 0:
                known.flush()


def fail(message: str) -> None:
    raise AssertionError(message)


def test_many_processes_write_and_read_one_file(tmp_path: Path) -> None:
    spawned = multiprocessing.get_context("fork")
    workers = [spawned.Process(target=fill, args=(tmp_path / "a", n, 60)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    for n in range(2):
        with CompletionCache(tmp_path / "a", {"backend": f"worker {n}"}, DRAWN, warn=fail) as known:
            wanted = [Request(f"p/{i}", ASKED, (0,)) for i in range(60)]
            assert [each.completion.text for each in known.find(wanted)] == [f"{n} {i}" for i in range(60)]


def test_a_writer_that_is_killed_leaves_a_file_that_works(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\nfrom tests.backends.test_completion_cache import fill\n"
        f"print('go', flush=True)\nfill(Path({str(tmp_path / 'a')!r}), 0, 10**6)"
    )
    for pause in (0.2, 0.31, 0.45):
        with subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            try:
                writer.wait(pause)
            except subprocess.TimeoutExpired:
                writer.send_signal(signal.SIGKILL)
        fill(tmp_path / "a", 1, 8)
        with CompletionCache(tmp_path / "a", {"backend": "worker 0"}, DRAWN, warn=fail) as known:
            wanted = [Request(f"p/{i}", ASKED, (0,)) for i in range(500)]
            texts = [each.completion.text for each in known.find(wanted)]
        assert texts == [f"0 {i}" for i in range(len(texts))]
    assert texts


def test_a_damaged_file_is_left_out_and_never_gives_another_answer(tmp_path: Path) -> None:
    """Bytes overwritten anywhere: what is found is right, or nothing is, with one warning."""
    file, rng = tmp_path / "a", random.Random(0)
    put(file, *(made(f"p/{i}", text=f"answer {i} " * 40) for i in range(40)))
    sound = file.read_bytes()
    warned = 0
    for _ in range(60):
        spoilt = bytearray(sound)
        for _ in range(rng.choice((1, 8, 200))):
            spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
        file.write_bytes(spoilt[: rng.choice((len(spoilt), len(spoilt) // 2))])
        warnings: list[str] = []
        with CompletionCache(file, MODEL, DRAWN, warn=warnings.append) as known:
            for i in range(40):
                for each in known.find([Request(f"p/{i}", ASKED, (0,))]):
                    assert each.completion == made(f"p/{i}", text=f"answer {i} " * 40).completion
                known.add(ASKED, made(f"n/{i}"))
        assert len(warnings) <= 1
        warned += len(warnings)
    assert warned > 20
    file.write_bytes(b"no database" * 100)
    shown: list[str] = []
    assert found(file, warn=shown.append) == []
    assert shown == [
        f"the completion cache {file} cannot be used (file is not a database): nothing is reused or kept from here on."
        " If it is damaged, delete it; --no-cache turns it off"
    ]


def test_a_run_beside_a_damaged_store_warns_and_ends_well(
    models: dict[str, Path], tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.parent.mkdir()
    store.write_bytes(b"\0" * 5000)
    evaluate(models["one"], tmp_path / "out")
    assert "cannot be used" in caplog.text
    assert stages(tmp_path / "out") == {"generate": 6}


@pytest.mark.parametrize("where", ["file/below/a", "folder"])
def test_a_store_that_cannot_be_made_is_done_without(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    warnings: list[str] = []
    put(tmp_path / where, made(), warn=warnings.append)
    assert len(warnings) == 1


def test_a_store_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a") as base:
        base.execute("pragma user_version = 99")
    base.close()
    warnings: list[str] = []
    put(tmp_path / "a", made(), warn=warnings.append)
    assert "it is of layout 99, and this version writes 1" in warnings[0]


def test_a_store_that_another_holds_is_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion_cache, "BUSY_TIMEOUT_S", 0.05)
    put(tmp_path / "a", made())
    holder = sqlite3.connect(tmp_path / "a", isolation_level=None)
    holder.execute("begin exclusive")
    warnings: list[str] = []
    assert found(tmp_path / "a", warn=warnings.append) == []
    assert "database is locked" in warnings[0]
    holder.close()
    assert found(tmp_path / "a") == ["x = 1"]


def test_a_full_store_lets_the_oldest_go_and_stays_of_its_size(tmp_path: Path) -> None:
    for i in range(40):
        put(tmp_path / "a", *(made(f"p/{i}.{j}", text="x" * 1000) for j in range(10)), max_bytes=200_000)
    assert (tmp_path / "a").stat().st_size < 300_000
    assert found(tmp_path / "a", name="p/39.9") == ["x" * 1000]
    assert found(tmp_path / "a", name="p/0.0") == []


def test_the_command_shows_and_empties_the_store(
    models: dict[str, Path], tmp_path: Path, store: Path
) -> None:
    assert harness("cache").out == f"0.0 MB in {store}; limit 4,295 MB, oldest deleted first\n"
    evaluate(models["one"], tmp_path / "a")
    evaluate(models["two"], tmp_path / "b")
    shown = harness("cache").out.splitlines()
    assert len(shown) == 3
    assert all(line.split()[:2] == ["6", "completions"] and "float32, hf" in line for line in shown[:2])
    assert len(harness("cache", "--clear").out.splitlines()) == 1
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
    assert harness("cache", "--drop", "old").out.splitlines()[0] == "3 completions deleted"
    left = harness("cache", "--drop", "9999").out.splitlines()
    assert left[0] == "0 completions deleted"
    assert ["loaded 111111111111" in left[1], "adapter a1b2c3 LORA" in left[2], len(left)] == [True, True, 4]
    assert harness("cache", "--drop", "a1b2c3").out.splitlines()[0] == "1 completions deleted"
    assert harness("cache", "--drop", "1111").out.splitlines()[0] == "1 completions deleted"
    assert "at least 4 characters of a digest" in harness("cache", "--drop", "111").complaint


@pytest.fixture(autouse=True)
def _own_file_only(tmp_path: Path) -> Iterator[None]:
    """No test writes to the folder that all tests share."""
    shared = Path(os.environ["HARNESS_CACHE"]) / COMPLETIONS
    yield
    assert not shared.is_relative_to(tmp_path)
    assert not shared.exists()
