"""Perplexity as a metric of runs: from the sums over problems, resumed, recorded, refused where nobody can tell it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from harness import backends
from harness.results.report import tables
from harness.runs import study
from harness.schema import Capabilities, Generation, Request, Sampling
from harness.schema.scores import Unit
from tests.support.command import Ended, harness, metrics, rows, write_rows


def run(model: Path, out: Path, *more: object) -> Ended:
    return harness(
        *("run", "--task", "conala", "--data", "mini", "--model", model, "--limit", 6, "--out", out),
        *("--set", "sampling.max_tokens=4", "--set", 'scorers=["perplexity"]', *more),
    )


def files(out: Path) -> dict[str, bytes]:
    names = ("likelihoods.jsonl", "generations.jsonl", "judgements.jsonl", "summary.json")
    return {name: (out / name).read_bytes() for name in names}


def test_perplexity_bits_and_logprob_come_from_the_sums_over_problems(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    ended = run(bases["llama"], tmp_path / "run", "--samples", 2, "--set", "sampling.temperature=1.0")
    assert ended.code == 0, ended.err
    told = [row["completion"] for row in rows(tmp_path / "run" / "likelihoods.jsonl")]
    assert told[0]["text"] == "hashlib.md5(filename.encode()).hexdigest()"
    logprob, tokens = sum(row["logprob"] for row in told), sum(row["completion_tokens"] for row in told)
    size = sum(len(row["text"].encode()) for row in told)
    found = metrics(tmp_path / "run")
    assert found["perplexity"]["value"] == pytest.approx(math.exp(-logprob / tokens))
    assert found["bits_per_byte"]["value"] == pytest.approx(-logprob / math.log(2) / size)
    mean = sum(row["logprob"] / row["completion_tokens"] for row in told) / 6
    assert found["reference_logprob"]["value"] == pytest.approx(mean)
    for name in ("perplexity", "bits_per_byte", "reference_logprob"):
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
        assert found[name]["n"] == 6
    assert "| perplexity of the solution eos:no" in ended.out
    assert f"perplexity         {found['perplexity']['value']:.2f}" in ended.out


def test_a_run_that_was_cut_off_among_the_references_ends_with_the_same_bytes(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run(bases["llama"], out).code == 0
    before = files(out)
    lines = before["likelihoods.jsonl"].splitlines(keepends=True)
    (out / "likelihoods.jsonl").write_bytes(b"".join(lines[3:5]) + lines[0][:40])
    (out / "judgements.jsonl").unlink()
    (out / "summary.json").unlink()
    assert run(bases["llama"], out).code == 0
    assert files(out) == before


def test_a_recording_gives_the_likelihoods_it_has(bases: dict[str, Path], tmp_path: Path) -> None:
    assert run(bases["llama"], tmp_path / "run").code == 0
    score = ("score", "conala", "--data", "mini", "--set", "limit=6", "--set", 'scorers=["perplexity"]')
    made = tmp_path / "run" / "generations.jsonl"
    ended = harness(*score, "--completions", made, "--out", tmp_path / "again")
    assert ended.code == 0, ended.err
    assert metrics(tmp_path / "again") == metrics(tmp_path / "run")

    changed = rows(tmp_path / "run" / "likelihoods.jsonl")
    changed[2]["completion"]["text"] = "other"
    write_rows(tmp_path / "run" / "likelihoods.jsonl", changed)
    ended = harness(*score, "--completions", made, "--out", tmp_path / "other")
    assert ended.complaint.endswith("likelihoods.jsonl:3: conala/test/2 was recorded for another reference")


def test_a_recording_without_likelihoods_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    said = [{"task_id": f"conala/test/{n}", "text": "x"} for n in range(6)]
    file = write_rows(tmp_path / "said.jsonl", said)
    ended = harness(
        *("score", "conala", "--data", "mini", "--set", "limit=6", "--set", 'scorers=["perplexity"]'),
        *("--completions", file, "--out", tmp_path / "out"),
    )
    assert ended.complaint == (
        "the recording has no log-probabilities of references, and there is no model: leave the scorer that needs"
        " them out, or give the generations.jsonl of a run that has a likelihoods.jsonl"
    )
    assert not (tmp_path / "out").exists()


class Talker:
    """A backend with nothing but the one method that every backend has."""

    identity: Mapping[str, str] = {"kind": "talker", "dtype": "none", "engine": "talker 1"}
    capabilities = Capabilities()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        raise AssertionError("asked before it was checked")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("kept", [False, True])
def test_a_backend_that_cannot_tell_is_one_line_before_any_work(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talker = study.SharedBackend(Talker()) if kept else Talker()
    monkeypatch.setattr(backends, "load", lambda config, ids: talker)
    assert run(tmp_path, tmp_path / "out").complaint == (
        "backend 'talker' cannot say how likely a reference is, and a scorer needs it: use backend.kind=hf, or leave"
        " the scorer out (perplexity)"
    )
    assert not (tmp_path / "out").exists()


def test_a_study_tells_likelihoods_with_the_model_it_keeps(bases: dict[str, Path], tmp_path: Path) -> None:
    config = tmp_path / "study.toml"
    config.write_text(
        f"""
        task = "conala"
        data = "mini"
        limit = 3
        scorers = ["perplexity"]
        backend = {{ model = "{bases["llama"]}" }}
        sampling = {{ max_tokens = 4 }}
        [matrix]
        seed = [1, 2]
        """,
        encoding="utf-8",
    )
    ended = harness("run", config, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    found = [path.read_bytes() for path in (tmp_path / "out").rglob("likelihoods.jsonl")]
    assert len(found) == 2
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("unit", "value", "shown"),
    [
        ("number", 12.3456, "12.35"),
        ("number", 1.23456, "1.235"),
        ("number", 0.51234, "0.5123"),
        ("share", 0.51234, "51.23"),
    ],
)
def test_what_is_no_share_is_not_shown_as_percent(unit: Unit, value: float, shown: str) -> None:
    assert tables.figure(unit, value) == shown
