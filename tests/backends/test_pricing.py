"""What a run cost: the server's counts at the config's prices, a prompt paid once a request, nothing made up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.backends import pricing
from harness.config.backend import BackendConfig, ServerConfig
from harness.config.load import parse
from harness.errors import ConfigError
from harness.schema import Completion
from tests.support.command import Ended, harness
from tests.support.faulty_server import World, asked, serving

PRICED = BackendConfig(
    kind="openai", model="m", server=ServerConfig(url="http://h/v1"), price_in=2.0, price_out=8.0
)


@pytest.fixture
def world() -> Iterator[World]:
    with serving(World()) as world:
        world.answer = lambda body, index: "x = 1"
        yield world


def evaluate(world: World, out: Path, *more: object) -> Ended:
    return harness(
        *("run", "--task", "conala", "--data", "mini", "--limit", 4, "--model", "m", "--out", out),
        *("--set", "backend.kind=openai", "--set", f"backend.server.url={world.url}", *more),
    )


def summary(out: Path) -> dict[str, Any]:
    read = json.loads((out / "summary.json").read_text())
    assert isinstance(read, dict)
    return read


PRICES = ("--set", "backend.price_in=2.0", "--set", "backend.price_out=8.0")


def test_a_price_is_tokens_times_prices_for_a_million() -> None:
    alone = Completion(text="", prompt_tokens=1_000_000, completion_tokens=500_000)
    assert pricing.price(alone, PRICED) == 6.0
    shared = alone.model_copy(update={"prompt_share": 250_000})
    assert pricing.price(shared, PRICED) == 4.5
    assert pricing.price(alone, PRICED.model_copy(update={"price_in": None, "price_out": None})) == 0.0
    assert pricing.total_cost([alone, shared], PRICED).figures == {
        "completion_tokens": 1_000_000,
        "price": 10.5,
        "prompt_tokens": 2_000_000,
    }


def test_a_sum_with_an_unknown_in_it_is_unknown() -> None:
    known = Completion(text="", prompt_tokens=7, completion_tokens=5)
    assert pricing.total_cost([known, Completion(text="")], PRICED) == pricing.RunCost({}, 1)


def test_a_run_tells_what_it_cost(world: World, tmp_path: Path) -> None:
    ended = evaluate(world, tmp_path / "run", *PRICES)
    assert ended.code == 0, ended
    cost = summary(tmp_path / "run")["cost"]
    assert cost["prompt_tokens"] == 4 * 7
    assert cost["completion_tokens"] == 4 * 5
    assert cost["price"] == pytest.approx((28 * 2 + 20 * 8) / 1e6)
    assert "  price: 0.00022 for 28 prompt and 20 completion tokens\n" in ended.out
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["prices"] == {"price_in": 2.0, "price_out": 8.0}
    assert "price" not in json.dumps(record["config"])


def test_a_prompt_is_paid_once_for_all_samples_of_a_request(world: World, tmp_path: Path) -> None:
    drawn = ("--samples", 3, "--set", "sampling.temperature=0.8")
    assert evaluate(world, tmp_path / "run", *PRICES, *drawn).code == 0
    assert len(world.bodies) == 4
    cost = summary(tmp_path / "run")["cost"]
    assert cost["price"] == pytest.approx((4 * 7 * 2 + 4 * 15 * 8) / 1e6), (
        "as the server's four bills have it"
    )


def test_prices_may_be_told_or_changed_after_the_run(world: World, tmp_path: Path) -> None:
    assert evaluate(world, tmp_path / "run").code == 0
    assert "price" not in summary(tmp_path / "run")["cost"]
    assert evaluate(world, tmp_path / "run", *PRICES).code == 0
    assert len(world.bodies) == 4
    assert summary(tmp_path / "run")["cost"]["price"] == pytest.approx(0.000216)


def test_what_a_server_does_not_count_is_said_to_be_unknown(world: World, tmp_path: Path) -> None:
    world.plan = lambda number, body: "uncounted" if number == 2 else ""
    ended = evaluate(world, tmp_path / "run", *PRICES)
    assert ended.code == 0, ended
    assert summary(tmp_path / "run")["cost"] == {}
    assert "the server counted no tokens for 1 of 4 samples: the cost is not known" in ended.out


def test_a_comparison_has_a_column_for_the_price(world: World, tmp_path: Path) -> None:
    assert evaluate(world, tmp_path / "a", *PRICES).code == 0
    world.answer = lambda body, index: f"y = {len(asked(body))}"
    assert evaluate(world, tmp_path / "b", *PRICES, "--set", "seed=1", "--shots", "icl:1").code == 0
    shown = harness("compare", tmp_path / "a", tmp_path / "b").out
    assert "price a" in shown
    assert "5.4e-05" in shown
    page = tmp_path / "page.html"
    assert harness("report", tmp_path / "a", tmp_path / "b", "--out", page).code == 0
    assert "<th" in page.read_text()
    assert "5.4e-05" in page.read_text()


def test_parts_of_a_run_cost_together_what_the_run_costs(world: World, tmp_path: Path) -> None:
    for shard in ("0/2", "1/2"):
        assert evaluate(world, tmp_path / "parts" / shard[0], *PRICES, "--shard", shard).code == 0
    assert harness("merge", tmp_path / "parts", "--out", tmp_path / "whole").code == 0
    assert evaluate(world, tmp_path / "run", *PRICES).code == 0
    assert summary(tmp_path / "whole") == summary(tmp_path / "run")
    assert summary(tmp_path / "whole")["cost"]["price"] == pytest.approx(0.000216)


@pytest.mark.parametrize(
    ("prices", "message"),
    [
        ({"price_in": 1.0}, "price_in and price_out go together"),
        ({"price_in": -1.0, "price_out": 1.0}, "backend.price_in = -1.0"),
        ({"price_in": float("inf"), "price_out": 1.0}, "backend.price_in"),
    ],
)
def test_prices_that_cannot_be_are_refused(prices: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"task": "conala", "backend": {"model": "m", **prices}})
    assert message in str(caught.value)


def test_prices_make_no_other_run() -> None:
    plain = parse({"task": "conala", "backend": {"model": "m"}})
    priced = parse({"task": "conala", "backend": {"model": "m", "price_in": 1.0, "price_out": 2.0}})
    assert priced.hash == plain.hash
