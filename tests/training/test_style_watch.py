"""Style along a training: the classifier's folder, the scorer, figures on literals, a model that takes on a style."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import ConfigError, DataError
from harness.scorers import classifier_folder
from harness.scorers.style_classifier import Floats
from harness.training.style.text_sources import read_texts
from harness.training.style.watch import StyleWatch, TextCutter, WrittenBatch
from tests.support.command import harness
from tests.support.tiny_models import build, make_tokenizer

CHANCES = {"alice": [0.2, 0.8], "edgar": [0.9, 0.1], "never": [1.0, 0.0]}
STYLES = {
    "alice": [f"read_the_file('name_{i}')" for i in range(30)],
    "edgar": [f'readFile("theName{i}")' for i in range(30)],
}


def judge(texts: Sequence[str]) -> Floats:
    return np.array([CHANCES[text] for text in texts])


def test_every_kth_step_has_the_figures_of_a_balanced_batch() -> None:
    batches = iter([["edgar", "edgar"], ["edgar", "alice"], ["alice", "never"]])
    watch = StyleWatch(
        lambda: WrittenBatch(next(batches), short=1), judge, label=1, others=["edgar", "alice"], every=10
    )
    found = [point for step in range(21) if (point := watch(step))]
    assert [(point.step, point.n, point.short) for point in found] == [(0, 4, 1), (10, 4, 1), (20, 4, 1)]
    assert [point.style for point in found] == pytest.approx([0.1, 0.45, 0.4])
    # The others are of class 0: edgar is told rightly, alice not.
    assert [point.accuracy for point in found] == [0.25, 0.5, 0.5]
    others = -math.log(0.9) - math.log(0.2)
    assert [point.loss for point in found[:2]] == pytest.approx(
        [(others - 2 * math.log(0.1)) / 4, (others - math.log(0.1 * 0.8)) / 4]
    )
    assert found[2].loss == pytest.approx((others - math.log(0.8) - math.log(1e-12)) / 4)  # finite


def test_a_batch_that_is_not_balanced_is_an_error() -> None:
    watch = StyleWatch(lambda: WrittenBatch(["alice"]), judge, label=1, others=["edgar", "edgar"], every=1)
    with pytest.raises(ConfigError, match="the batch of step 3 has 1 texts; 2 are expected"):
        watch(3)


def test_texts_are_cut_to_tokens_of_the_classifier_and_short_ones_are_counted() -> None:
    model, reader = make_tokenizer("llama", tokens="words"), make_tokenizer("codegen")
    rows = [model.encode(text, add_special_tokens=False) for text in ("def add(a, b): return a + b", "x")]
    found = TextCutter(model, reader, 5)(rows)
    assert found.short == 1
    assert found.texts[1] == "x"
    assert len(reader.encode(found.texts[0], add_special_tokens=False)) == 5
    assert "def add(a, b): return a + b".startswith(found.texts[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, rows of two styles, and a classifier of them."""
    made = tmp_path_factory.mktemp("style")
    build("llama", made / "base")
    for name, texts in STYLES.items():
        rows = [{"instruction": f"say {i}", "output": text} for i, text in enumerate(texts)]
        write_rows(made / f"{name}.jsonl", rows)
    ended = harness("train-classifier", *classes(made), "--out", made / "judge")
    assert ended.code == 0, ended.err
    assert "accuracy 100.0 % [" in ended.out
    assert "on 12 texts held out (majority 50.0 %)" in ended.out
    return made


def write_rows(file: Path, rows: Sequence[dict[str, str]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def classes(made: Path) -> list[str]:
    return [word for name in STYLES for word in ("--class", f"{name}={made / name}.jsonl")]


def test_a_classifiers_folder_says_what_it_is_and_is_refused_when_it_was_changed(
    folder: Path, tmp_path: Path
) -> None:
    record = classifier_folder.read_record(folder / "judge")
    assert (record["kind"], record["classes"], record["texts"]) == (
        "ngram",
        ["alice", "edgar"],
        {"alice": 30, "edgar": 30},
    )
    assert record["report"]["accuracy"] == 1.0
    (tmp_path / "copy").mkdir()
    for file in (folder / "judge").iterdir():
        (tmp_path / "copy" / file.name).write_bytes(file.read_bytes())
    assert classifier_folder.digest(tmp_path / "copy") == classifier_folder.digest(folder / "judge")
    with (tmp_path / "copy" / "classifier.npz").open("ab") as file:
        file.write(b"x")
    with pytest.raises(Exception, match="are not those that its"):
        classifier_folder.load(tmp_path / "copy")
    for words, complaint in (
        (["--class", "a"], "expected NAME=SOURCE"),
        (["--class", f"a={folder / 'alice.jsonl'}"], "two classes or more"),
        ([*classes(folder), "--half"], "half precision is an encoder's"),
        (["--class", "a=task:conla", "--class", "b=task:conala"], "Did you mean 'conala'"),
        (
            ["--class", "a=none", "--class", f"b={folder / 'alice.jsonl'}"],
            "none: cannot be read: No such file or directory; a run's folder",
        ),
    ):
        assert complaint in harness("train-classifier", *words, "--out", tmp_path / "new").complaint


def test_three_classes_are_told_apart(tmp_path: Path) -> None:
    words = []
    for name, texts in {**STYLES, "lewis": [f"READ-FILE {i}." for i in range(30)]}.items():
        write_rows(tmp_path / f"{name}.jsonl", [{"text": text} for text in texts])
        words += ["--class", f"{name}={tmp_path / name}.jsonl"]
    ended = harness("train-classifier", *words, "--out", tmp_path / "judge")
    assert ended.code == 0, ended.err
    assert "accuracy 100.0 % [" in ended.out


def test_classes_of_the_same_texts_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_rows(tmp_path / f"{name}.jsonl", [{"text": text} for text in STYLES["alice"][:5]])
    words = [word for name in ("a", "b") for word in ("--class", f"{name}={tmp_path / name}.jsonl")]
    said = harness("train-classifier", *words, "--out", tmp_path / "new").complaint
    assert "every text held out is one of another class too" in said
    assert not (tmp_path / "new").exists()


def test_rows_are_cut_at_newlines_alone_and_may_begin_with_a_mark(tmp_path: Path) -> None:
    texts = ["one\u2028line", "another\x85line"]
    rows = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\r\n" for text in texts)
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert read_texts(str(tmp_path / "a.jsonl"), None) == texts
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"text": ')
    with pytest.raises(DataError, match=r"a\.jsonl:2: malformed JSON"):
        read_texts(str(tmp_path / "a.jsonl"), None)


def test_answers_are_scored_by_the_classifier_that_the_config_names(folder: Path, tmp_path: Path) -> None:
    rows = [{"task_id": f"conala/test/{i}", "completion": STYLES["edgar"][i]} for i in range(5)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    common = ("score", "conala", "--data", "mini", "--completions", tmp_path / "a.jsonl", "--partial", "--set",
              "scorers=['style']")  # fmt: skip
    named = ("--set", f"style.classifier={folder / 'judge'}", "--set", "style.label=edgar")
    ended = harness(*common, *named, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["metrics"]["style"]["value"] > 0.9
    assert f"style class:edgar {classifier_folder.digest(folder / 'judge')}" in summary["signature"]
    assert "go together" in harness(*common, "--out", tmp_path / "none").complaint
    wrong = harness(*common, *named[:3], "style.label=edga", "--out", tmp_path / "none")
    assert "style.label: no class 'edga'. Did you mean 'edgar'?" in wrong.complaint


def train(folder: Path, out: Path, *more: str) -> Any:
    watch = f"{{ classifier = {str(folder / 'judge')!r}, label = 'edgar', against = {str(folder / 'alice.jsonl')!r}"
    config = folder / f"{out.name}.toml"
    config.write_text(
        f"data = [{{ file = {str(folder / 'edgar.jsonl')!r}, validation = 'none' }}]\nmethod = 'full'\ndevice = 'cpu'\n"
        "log_every = 20\noptim = { lr = 1e-2, max_steps = 60 }\n"
        f"watch = {watch}, every = 30, texts = 4, length = 12, temperature = 0.3 }}\n"
    )
    return harness("train", config, "--model", folder / "base", "--out", out, *more)


def test_a_training_shows_how_the_model_takes_on_a_style(folder: Path, tmp_path: Path) -> None:
    ended = train(folder, tmp_path / "a")
    assert ended.code == 0, ended.err
    assert "at step 60" in ended.out
    assert "style: told apart " in ended.out
    record = json.loads((tmp_path / "a" / "train.json").read_text())
    points = record["losses"]["style"]
    assert [point["step"] for point in points] == [0, 30, 60]
    assert points[0]["style"] < 0.7 < points[2]["style"]
    assert points[2]["accuracy"] == 1.0
    curve = [json.loads(line) for line in (tmp_path / "a" / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve if "style_loss" in row] == [0, 30, 60]
    assert [row["style_n"] for row in curve if "style_loss" in row] == [8.0] * 3
    assert "watch.label" in train(folder, tmp_path / "b", "--set", "watch.label=edga").complaint


def test_watching_changes_no_weight(folder: Path, tmp_path: Path) -> None:
    assert train(folder, tmp_path / "a", "--set", "optim.max_steps=3").code == 0
    assert train(folder, tmp_path / "b", "--set", "optim.max_steps=3", "--set", "watch.every=1").code == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (
        tmp_path / "b" / "model.safetensors"
    ).read_bytes()


def test_an_encoder_is_fine_tuned_and_kept_in_half_the_memory(folder: Path, tmp_path: Path) -> None:
    """The steps are taken in float32, also of a base in half precision."""
    sizes = {}
    base = build("llama", tmp_path / "base", dtype="bfloat16")
    for name, half in (("whole", ()), ("half", ("--half",))):
        ended = harness("train-classifier", *classes(folder), "--encoder", base, "--epochs", "1",
                        "--tokens", "16", "--out", tmp_path / name, *half)  # fmt: skip
        assert ended.code == 0, ended.err
        sizes[name] = classifier_folder.read_record(tmp_path / name)["parameter_bytes"]
    assert sizes["half"] * 2 == sizes["whole"]
    whole, half_ = (classifier_folder.load(tmp_path / name) for name in ("whole", "half"))
    assert (whole.tokens, whole.classes) == (16, ["alice", "edgar"])
    np.testing.assert_allclose(
        whole.classify(STYLES["alice"][:3]), half_.classify(STYLES["alice"][:3]), atol=0.02
    )
