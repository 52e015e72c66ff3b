"""Style along a training: figures on literals, a fixed batch, and a model that takes on a style."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from harness.errors import ConfigError
from harness.schema import Capabilities, Completion, Generation, Prompt, Request, Sampling
from harness.scorers.style_classifier import Floats, train, trend
from harness.training import style_watch
from harness.training.style_watch import StylePoint, StyleWatch, generate_with

CHANCES = {"alice": [0.2, 0.8], "edgar": [0.9, 0.1]}


def judge(texts: Sequence[str]) -> Floats:
    return np.array([CHANCES[text] for text in texts])


def test_every_kth_step_has_the_figures_of_its_batch() -> None:
    batches = iter([["edgar", "edgar"], ["edgar", "alice"], ["alice", "alice"]])
    logged: list[StylePoint] = []
    watch = StyleWatch(lambda: next(batches), judge, label=1, every=10, log=logged.append)
    said = [watch(step) for step in range(21)]
    assert [point.step for point in said if point] == [0, 10, 20]
    assert logged == watch.points == [point for point in said if point]
    assert [point.style for point in logged] == pytest.approx([0.1, 0.45, 0.8])
    assert [point.share for point in logged] == [0.0, 0.5, 1.0]
    assert [point.loss for point in logged] == pytest.approx(
        [-math.log(0.1), -math.log(0.1 * 0.8) / 2, -math.log(0.8)]
    )
    slope, tau = trend([point.step for point in logged], [point.style for point in logged])
    assert (slope, tau) == (pytest.approx(0.035), 1.0)


def test_an_impossible_class_has_a_finite_loss() -> None:
    point = StyleWatch(lambda: ["x"], lambda texts: np.array([[1.0, 0.0]]), label=1, every=1)(3)
    assert point == StylePoint(step=3, style=0.0, share=0.0, loss=pytest.approx(-math.log(1e-12)), n=1)


def test_a_batch_that_is_not_the_fixed_one_is_an_error() -> None:
    batches = iter([["alice", "alice"], ["alice"]])
    watch = StyleWatch(lambda: next(batches), judge, label=1, every=1)
    watch(0)
    with pytest.raises(ConfigError, match="the batch of step 1 has 1 texts; 2 are expected"):
        watch(1)
    with pytest.raises(ConfigError, match="the batch of step 0 has 0 texts; 1 are expected"):
        StyleWatch(lambda: [], judge, label=1, every=1)(0)
    with pytest.raises(ConfigError, match="every 1 step or more, got 0"):
        StyleWatch(lambda: ["alice"], judge, label=1, every=0)


class Learner:
    """A backend that is asked as the project's are, answers out of order, and writes Alice's way from step 3 on."""

    identity = {"name": "learner"}  # noqa: RUF012 - as a protocol has it, not changed
    capabilities = Capabilities()
    step = 0

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        for request in reversed(requests):
            for index in reversed(request.indices):
                text = f"{request.problem_id}{index}{sampling.seed} "
                text += "readFile(theName)" if self.step >= 3 else "read_file(the_name)"
                completion = Completion(text=text, finish="stop")
                yield Generation(
                    problem_id=request.problem_id, index=index, prompt_sha="", completion=completion
                )

    def tokens(self, prompt: Prompt) -> int:
        return len(prompt.text)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return True

    def close(self) -> None:
        pass


def test_a_loop_that_takes_on_a_style_shows_it() -> None:
    styles = ["snake_case(of_it)", "save_all(the_rows)"] * 8, ["camelCase(ofIt)", "saveAll(theRows)"] * 8
    frozen = train([*styles[0], *styles[1]], [0] * 16 + [1] * 16)
    before = frozen.weights.copy()
    learner = Learner()
    requests = [Request(problem_id=name, prompt=Prompt(text="?"), indices=(0, 1)) for name in ("b", "a")]
    write = generate_with(learner, requests, Sampling(seed=7))
    assert [text.split()[0] for text in write()] == ["b07", "b17", "a07", "a17"]
    watch = style_watch.StyleWatch(write, frozen, label=1, every=2)
    for learner.step in range(7):
        watch(learner.step)
    assert [(point.step, point.share, point.n) for point in watch.points] == [
        (0, 0.0, 4),
        (2, 0.0, 4),
        (4, 1.0, 4),
        (6, 1.0, 4),
    ]
    assert (frozen.weights == before).all()
