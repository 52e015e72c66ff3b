"""The classifier as judge: figures on literals, styles told apart, styles that are the same not."""

import math
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from harness.errors import ConfigError, DataError
from harness.schema import Problem, Reference, Supplies
from harness.scorers import style_classifier
from harness.scorers.reference_free.style import style, with_classifier
from harness.scorers.style_classifier import (
    ClassifierReport,
    auc,
    balanced_batches,
    evaluate,
    features,
    load,
    style_score,
    train,
    trend,
)
from tests.support.tiny_models import make_tokenizer


def texts(kind: str, n: int, seed: int) -> list[str]:
    """Calls in one style or another: snake_case or camelCase, one quote or two."""
    rng = random.Random(f"{kind}{seed}")
    names = [("read", "file"), ("sort", "list"), ("count", "word"), ("open", "page"), ("send", "mail")]
    found = []
    for _ in range(n):
        a, b = rng.choice(names)
        value = rng.randrange(1000)
        found.append(f"{a}_{b}('{value}')" if kind == "snake" else f'{a}{b.title()}("{value}")')
    return found


def both(n: int, seed: int) -> tuple[list[str], list[int]]:
    return texts("snake", n, seed) + texts("camel", n, seed), [0] * n + [1] * n


@pytest.fixture(scope="module")
def judge() -> style_classifier.LinearClassifier:
    return train(*both(60, seed=1), epochs=10, size=32)


def test_styles_that_differ_are_told_apart_and_the_same_style_is_not(
    judge: style_classifier.LinearClassifier,
) -> None:
    report = evaluate(judge, *both(50, seed=2))
    assert (report.accuracy, report.auc, report.majority, report.n) == (1.0, 1.0, 0.5, 100)
    assert report.low == pytest.approx(0.963, abs=1e-3)  # Wilson: 100 of 100
    assert report.loss < 0.3
    alike = texts("snake", 200, 3)
    guess = train(alike[:100], [i % 2 for i in range(100)], epochs=5, size=32)
    blind = evaluate(guess, alike[100:], [i % 2 for i in range(100)])
    assert blind.low < 0.5 < blind.high


def test_the_same_seed_gives_the_same_classifier_and_it_survives_a_file(
    judge: style_classifier.LinearClassifier, tmp_path: Path
) -> None:
    again = train(*both(60, seed=1), epochs=10, size=32)
    assert np.array_equal(again.weights, judge.weights)
    judge.save(tmp_path / "judge.npz")
    assert np.array_equal(load(tmp_path / "judge.npz")(["x_y('1')"]), judge(["x_y('1')"]))
    (tmp_path / "other.npz").write_bytes(b"no file of arrays")
    for name in ("other.npz", "none.npz"):
        with pytest.raises(DataError, match="holds no classifier"):
            load(tmp_path / name)


def test_batches_hold_every_class_equally_often_and_show_the_largest_once() -> None:
    labels = np.array([0] * 10 + [1] * 3)
    batches = list(balanced_batches(labels, 4, np.random.default_rng(0)))
    for batch in batches:
        assert Counter(labels[batch].tolist()) == {0: len(batch) // 2, 1: len(batch) // 2}
    shown = np.concatenate(batches)
    assert sorted(shown[labels[shown] == 0]) == list(range(10))
    assert len(shown) == 20
    with pytest.raises(ConfigError, match="a batch of 5 cannot hold 2 classes"):
        next(balanced_batches(labels, 5, np.random.default_rng(0)))


def test_figures_by_hand() -> None:
    chances = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.5, 0.5]])
    found = evaluate(lambda given: chances, ["a", "b", "c", "d"], [0, 0, 1, 1])
    # Right: the first and the third; the last is a draw, which goes to class 0. Of the four pairs of a 1 and a 0,
    # three are in order (.8 > .1, .8 > .6, .5 > .1) and one is not.
    loss = -(math.log(0.9) + math.log(0.4) + math.log(0.8) + math.log(0.5)) / 4
    assert found == ClassifierReport(
        0.5, pytest.approx(0.15, abs=1e-2), pytest.approx(0.85, abs=1e-2), 0.5, pytest.approx(loss), 0.75, 4
    )  # type: ignore[arg-type]
    assert auc(np.array([0.5, 0.5]), np.array([0, 1])) == 0.5
    assert style_score(lambda given: chances, ["a"] * 4, 1) == pytest.approx(0.5)
    assert evaluate(lambda given: chances, ["a"] * 4, [1] * 4).auc is None


def test_a_trend_is_a_slope_and_an_order() -> None:
    assert trend([0, 10, 20, 30], [0.5, 0.6, 0.7, 0.8]) == (pytest.approx(0.01), 1.0)
    slope, tau = trend([0, 1, 2], [0.5, 0.9, 0.7])
    assert (slope, tau) == (pytest.approx(0.1), pytest.approx(1 / 3))
    assert trend([0, 1], [0.5, 0.5]) == (0.0, 0.0)
    for steps, scores in (([1], [0.5]), ([1, 1], [0.5, 0.6]), ([1, 2], [0.5])):
        with pytest.raises(ConfigError, match="a trend needs"):
            trend(steps, scores)


def test_odd_texts_have_features_and_wrong_labels_are_refused(
    judge: style_classifier.LinearClassifier,
) -> None:
    odd = features(["", "a", "\ud800\0", "x" * 1_000_000])
    assert np.linalg.norm(odd, axis=1).tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0])
    assert judge([""]).sum() == pytest.approx(1.0)
    for labels in ([0], [0, -1], [0, 2], [0, 0]):
        with pytest.raises(ConfigError):
            train(["a", "b"], labels)
    with pytest.raises(ConfigError, match="needs texts"):
        style_score(judge, [], 0)


def test_the_scorer_gives_each_answer_its_probability(judge: style_classifier.LinearClassifier) -> None:
    problem = Problem(id="x", question="q", solution="s", check=Reference(texts=("s",)))
    answers = [(problem, text) for text in ("read_file('7')", 'readFile("7")')]
    supplies = Supplies(likelihoods=dict, training=list, classifier=lambda: (judge, 1))
    assert style.prepare is not None
    values = [v.score.value for v in style.prepare(supplies).score(answers, None) if v.score]
    assert values == judge([text for _, text in answers])[:, 1].tolist()
    assert values[0] < 0.5 < values[1]
    named = with_classifier("edgar", "0123").signature
    assert named is not None
    assert named([problem]) == "style class:edgar 0123"
    with pytest.raises(ConfigError, match=r"--set style\.classifier=FOLDER"):
        next(iter(style.score(answers, None)))


def test_a_sequence_classifier_of_transformers_is_one_too_at_any_batch_size(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer = make_tokenizer("llama")
    config = LlamaConfig(
        vocab_size=400, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_labels=3, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    given = [*texts("snake", 3, 0), "x = 1"]
    one, many = (style_classifier.load_pretrained(tmp_path, size=size)(given) for size in (1, 8))
    assert one.shape == (4, 3)
    assert one.sum(axis=1) == pytest.approx(1.0)
    np.testing.assert_allclose(one, many, atol=1e-5)
    with pytest.raises(DataError, match="holds no sequence classifier"):
        style_classifier.load_pretrained(tmp_path / "none")
