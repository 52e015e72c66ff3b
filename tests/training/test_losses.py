"""Losses and task weights of multi-task training against the figures worked out by hand from the papers' equations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.training.losses import balancers, objectives
from harness.training.losses.balancers import Coba, Famo, famo_gradient, famo_weights, slope
from harness.training.losses.objectives import Balance, Tokens

# Three samples, (task, probabilities of its tokens): (0, [.5, .25]), (0, [.8]), (1, [.1, .2, .4, .9]).
PROBABILITIES = ((0, (0.5, 0.25)), (0, (0.8,)), (1, (0.1, 0.2, 0.4, 0.9)))
EVEN = torch.ones(2, dtype=torch.float64)


def tokens(samples: tuple[tuple[int, tuple[float, ...]], ...] = PROBABILITIES) -> Tokens:
    flat = [(-math.log(p), i) for i, (_, ps) in enumerate(samples) for p in ps]
    return Tokens(
        nll=torch.tensor([nll for nll, _ in flat], dtype=torch.float64),
        sample=torch.tensor([i for _, i in flat]),
        task=torch.tensor([task for task, _ in samples]),
    )


@pytest.mark.parametrize(
    ("balance", "weights", "expected"),
    [
        ("none", (1, 1), 1.0337513351),
        ("sample_mean", (1, 1), 0.8320942951),
        ("task_token", (1, 1), 1.0004734638),
        ("task_sample", (1, 1), 0.9324253622),
        ("task_token", (1, 3), 1.1169460135),
    ],
)
def test_each_balance_gives_its_equations_value(
    balance: Balance, weights: tuple[int, int], expected: float
) -> None:
    found = objectives.balanced_loss(tokens(), balance, torch.tensor(weights, dtype=torch.float64))
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_the_token_means_of_the_tasks() -> None:
    sums, counted = objectives.task_sums(tokens(), 2)
    means = (sums / counted.tokens).tolist()
    assert means == pytest.approx([0.7675283643, 1.2334185632], abs=1e-9)
    assert counted.tokens.tolist() == [3, 4]
    assert counted.samples.tolist() == [2, 1]


@pytest.mark.parametrize(("level", "expected"), [("sample", 0.2863657836), ("task", 0.2757364057)])
def test_focal_losses_give_their_equations_value(level: objectives.FocalLevel, expected: float) -> None:
    assert level != "off"
    found = objectives.focal_loss(tokens(), level, 2.0, EVEN)
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_focal_without_gamma_is_the_plain_mean_over_samples_or_tasks() -> None:
    by_sample = objectives.balanced_loss(tokens(), "sample_mean", EVEN)
    by_task = objectives.balanced_loss(tokens(), "task_sample", EVEN)
    assert objectives.focal_loss(tokens(), "sample", 0.0, EVEN).item() == pytest.approx(
        by_sample.item(), abs=1e-12
    )
    assert objectives.focal_loss(tokens(), "task", 0.0, EVEN).item() == pytest.approx(
        by_task.item(), abs=1e-12
    )
    assert objectives.focal_loss(tokens(), "sample", 2.0, EVEN) < by_sample
    assert objectives.focal_loss(tokens(), "task", 2.0, EVEN) < by_task


def test_a_detached_focal_factor_changes_the_gradient_and_not_the_value() -> None:
    gradients = []
    for detach in (False, True):
        given_ = tokens()
        given_.nll.requires_grad_()
        loss = objectives.focal_loss(given_, "sample", 2.0, EVEN, detach)
        loss.backward()  # type: ignore[no-untyped-call]
        assert given_.nll.grad is not None
        gradients.append(given_.nll.grad)
        assert loss.item() == pytest.approx(0.2863657836, abs=1e-9)
    assert not torch.allclose(*gradients)


PROBABILITY = st.floats(0.01, 1.0)
SAMPLES = st.lists(
    st.tuples(st.integers(0, 3), st.lists(PROBABILITY, min_size=1, max_size=6).map(tuple)),
    min_size=1,
    max_size=8,
).map(tuple)


@given(SAMPLES)
def test_with_one_task_balances_by_token_are_the_token_mean_and_by_sample_the_sample_mean(samples) -> None:  # type: ignore[no-untyped-def]
    alone = tokens(tuple((0, ps) for _, ps in samples))
    one = torch.ones(1, dtype=torch.float64)
    plain = objectives.balanced_loss(alone, "none", one).item()
    assert objectives.balanced_loss(alone, "task_token", one).item() == pytest.approx(plain, abs=1e-12)
    by_sample = objectives.balanced_loss(alone, "sample_mean", one).item()
    assert objectives.balanced_loss(alone, "task_sample", one).item() == pytest.approx(by_sample, abs=1e-12)


@given(SAMPLES, st.integers(1, 7), st.sampled_from(["none", "sample_mean", "task_token", "task_sample"]))
def test_shares_of_micro_batches_add_up_to_the_loss_of_the_whole_step(samples, at, mode) -> None:  # type: ignore[no-untyped-def]
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64)
    whole = tokens(samples)
    over = objectives.task_totals(whole, 4)
    parts = [part for part in (samples[:at], samples[at:]) if part]
    shares = [objectives.balanced_loss(tokens(part), mode, weights, over).item() for part in parts]
    assert sum(shares) == pytest.approx(objectives.balanced_loss(whole, mode, weights).item(), abs=1e-10)


def test_a_task_that_is_absent_does_not_shrink_the_loss() -> None:
    alone = tokens(((1, (0.5, 0.5)),))
    found = objectives.balanced_loss(alone, "task_token", torch.tensor([5.0, 1.0], dtype=torch.float64))
    assert found.item() == pytest.approx(math.log(2), abs=1e-12)


# ---------------------------------------------------------------- FAMO


def test_famo_gives_the_coefficients_and_the_gradient_worked_out_by_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(balancers, "EPSILON", 0.0)  # the figures leave it out
    assert famo_weights([0, 0], [1, 2]) == pytest.approx([2 / 3, 1 / 3], abs=1e-9)
    gradient = famo_gradient([0, 0], [1, 2], [0.5, 1.8])
    assert gradient == pytest.approx([0.1469466662, -0.1469466662], abs=1e-9)


def test_famo_takes_weight_from_the_task_that_improved_most() -> None:
    famo = Famo(2)
    famo.update([1, 2], [0.5, 1.8])
    assert famo.xi[0] == pytest.approx(-0.025, abs=1e-6)  # Adam's first step is its learning rate
    assert famo.xi[1] == pytest.approx(0.025, abs=1e-6)
    before, after = famo_weights([0, 0], [0.5, 1.8]), famo.weights([0.5, 1.8])
    assert after[0] < before[0]
    assert sum(after) == pytest.approx(1.0)


# ---------------------------------------------------------------- CoBa

RATIOS = ((1, 1, 1), (0.9, 0.98, 0.97), (0.8, 0.96, 0.97), (0.7, 0.94, 1.0), (0.6, 0.92, 1.05))
PUBLISHED = {
    3: (0.073917, 0.437343, 0.488740),
    4: (0.422200, 0.422299, 0.155501),
    5: (0.478155, 0.478156, 0.043689),
}


def test_coba_gives_the_published_weights() -> None:
    coba = Coba(3, tau=5, warmup=3, history=200)
    for t, row in enumerate(RATIOS, 1):
        weights = coba.add(t, row)
        if t < 3:
            assert weights == [1 / 3] * 3
        else:
            assert weights == pytest.approx(PUBLISHED[t], abs=1e-6)
    assert coba.slopes[-1] == pytest.approx([-0.1, -0.02, 0.013], abs=1e-9)
    assert coba.peaks == pytest.approx([-0.015, -0.001, 0.012], abs=1e-9)


def test_coba_goes_on_from_its_saved_state() -> None:
    whole, first = Coba(3, warmup=3), Coba(3, warmup=3)
    for t, row in enumerate(RATIOS[:4], 1):
        whole.add(t, row)
        first.add(t, row)
    again = Coba(**first.state())
    assert again.add(5, RATIOS[4]) == whole.add(5, RATIOS[4])


def test_coba_measures_slopes_by_the_step_and_not_by_the_count() -> None:
    assert slope([1, 2, 3], [3, 5, 7]) == 2
    assert slope([10, 20, 30], [3, 5, 7]) == pytest.approx(0.2)
    assert slope([4], [9]) == 0


@given(st.lists(st.tuples(*[st.floats(0.1, 3)] * 3), min_size=1, max_size=12))
def test_coba_weights_are_positive_and_sum_to_one(rows) -> None:  # type: ignore[no-untyped-def]
    coba = Coba(3, warmup=2, history=5)
    for t, row in enumerate(rows):
        weights = coba.add(t, row)
        assert sum(weights) == pytest.approx(1.0)
        assert min(weights) >= 0
    assert len(coba.slopes) <= 5
