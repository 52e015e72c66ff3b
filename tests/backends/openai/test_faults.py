"""Right completions through every fault that passes, a named fault for one that does not."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from harness.backends import openai
from harness.backends.openai import transport
from harness.config.backend import BackendConfig, ServerConfig
from harness.errors import BackendFault, UserError
from harness.schema import Generation, Sampling
from tests.support.faulty_server import World, asked
from tests.support.parts.openai_client import client, config, generate, requests, texts

PASSING = [
    "status 429 0",
    "status 429 Wed, 21 Oct 2015 07:28:00 GMT",
    "status 408",
    "status 500",
    "status 502",
    "status 503",
    "html",
    "truncated",
    "dropped",
    "slow",
    "trickle",
    "garbled",
    "deep",
    "empty",
    "schema",
    "abort",
]


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_no_completion(world: World, fault: str) -> None:
    seen: Counter[str] = Counter()

    def plan(number: int, body: dict[str, Any]) -> str:
        with world.lock:
            seen[asked(body)] += 1
            return fault if seen[asked(body)] <= 2 else ""

    world.plan = plan
    world.answer = lambda body, index: f"answer to {asked(body)}"
    patience = (
        1.0 if fault in ("slow", "trickle") else 30.0
    )  # a good answer must not be late on a busy machine
    made = generate(client(world, concurrency=4, request_s=patience), requests(5), Sampling(max_tokens=8))
    assert texts(made) == {(f"p/{i}", 0): f"answer to q{i}" for i in range(5)}
    assert all(count == 3 for count in seen.values())


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_stays_is_named_and_no_empty_completion(world: World, fault: str) -> None:
    world.plan = lambda number, body: fault if asked(body) == "q1" else ""
    made = client(world, concurrency=2, request_s=0.3, retries=2)
    got: list[Generation] = []
    with pytest.raises(
        BackendFault, match=r"^p/1: http.*: no answer after 3 tries in \d+ s; .*the last one: \S"
    ):
        got.extend(made.generate(requests(3), Sampling(max_tokens=8)))
    made.close()
    assert len([body for body in world.bodies if asked(body) == "q1"]) == 3


def test_the_time_limit_is_for_the_whole_answer_not_for_each_byte(world: World) -> None:
    world.plan = lambda number, body: "trickle"
    with pytest.raises(BackendFault, match=r"the last one: no whole answer within 0\.3 s"):
        generate(client(world, request_s=0.3, retries=0), requests(1), Sampling(max_tokens=8))


def test_what_others_brought_is_given_out_before_the_fault_is_raised(world: World) -> None:
    world.plan = lambda number, body: "status 500" if asked(body) == "q0" else ""
    made = client(world, concurrency=8, retries=1)
    got: list[Generation] = []
    with pytest.raises(BackendFault):
        got.extend(made.generate(requests(8), Sampling(max_tokens=8)))
    made.close()
    assert sorted(each.problem_id for each in got) == [f"p/{i}" for i in range(1, 8)]


def test_a_request_that_fails_each_time_stops_no_others(world: World) -> None:
    world.plan = lambda number, body: {"q1": "status 500", "q3": "status 422"}.get(asked(body), "")
    made = client(world, concurrency=1, retries=1)
    got: list[Generation] = []
    with pytest.raises(BackendFault, match=r"^p/1: .* no answer after 2 tries .*\. Likewise p/3$"):
        got.extend(made.generate(requests(6), Sampling(max_tokens=9)))
    made.close()
    assert [each.problem_id for each in got] == ["p/0", "p/2", "p/4", "p/5"]


def test_a_server_that_is_gone_is_not_asked_for_the_rest(world: World) -> None:
    world.plan = lambda number, body: "dropped"
    with pytest.raises(BackendFault, match=r"^p/0: .*Likewise p/1, p/2$"):
        generate(client(world, concurrency=1, retries=0), requests(9), Sampling(max_tokens=9))
    assert len(world.bodies) == 3


def test_the_first_cause_is_told_with_the_last_even_if_another_request_met_it(world: World) -> None:
    world.plan = lambda number, body: "status 500" if number == 0 else "dropped"
    made = client(world, concurrency=1, retries=1)
    with pytest.raises(
        BackendFault, match=r"it began with status 500: told to answer 500; the last one: Remote"
    ):
        list(made.generate(requests(1), Sampling(max_tokens=9)))
    with pytest.raises(BackendFault, match=r"it began with status 500: .*; the last one: Remote"):
        generate(made, requests(1), Sampling(max_tokens=9))


def test_the_wait_grows_differs_and_follows_retry_after(world: World) -> None:
    slept: list[float] = []
    world.plan = lambda number, body: (
        ["status 500"] * 4 + ["status 429 7"] + [""] * 9
        and ("status 500" if number < 4 else "status 429 7" if number == 4 else "")
    )
    generate(client(world, slept), requests(1), Sampling(max_tokens=9))
    assert len(slept) == 5
    for attempt, seconds in enumerate(slept[:4]):
        assert 0.25 * 2**attempt <= seconds <= 0.5 * 2**attempt
    assert 7 <= slept[4] <= 7 + 8


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("3", 3, 3),
        ("0.5", 0.5, 0.5),
        ("-1", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("IN 20 S", 17, 20),
        ("soon", None, None),
        ("", None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, least: float | None, most: float | None) -> None:
    if text == "IN 20 S":
        text = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    wait = transport.retry_after(transport.Reply(429, {"retry-after": text}, b""))
    if least is None:
        assert wait is None
    else:
        assert wait is not None
        assert most is not None
        assert least <= wait <= most


def test_two_that_were_refused_together_do_not_return_together(world: World) -> None:
    waits: list[list[float]] = []
    for _ in range(2):
        slept: list[float] = []
        world.plan = lambda number, body: "status 503"
        made = client(world, slept, retries=3)
        with pytest.raises(BackendFault):
            generate(made, requests(1), Sampling(max_tokens=9))
        waits.append(slept)
    assert len(waits[0]) == len(waits[1]) == 3
    assert waits[0] != waits[1]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("context", r"^p/0: too long for the model's context: This model's maximum context length is 4096"),
        ("status 404", r"^p/0: http.* has no model 'm', or no /completions: told to answer 404"),
        ("status 422", r"^p/0: http.* refuses the request \(status 422\): told to answer 422"),
    ],
)
def test_a_mistake_is_told_at_once(world: World, fault: str, message: str) -> None:
    world.plan = lambda number, body: fault
    with pytest.raises(UserError, match=message):
        generate(client(world), requests(1), Sampling(max_tokens=9, over_long="error"))
    assert len(world.bodies) == 1


def test_a_server_that_is_down_is_told_with_what_was_tried(world: World) -> None:
    down = replace_url(config(world), "http://127.0.0.1:9/v1")
    with pytest.raises(
        BackendFault, match=r"^no server at http://127.0.0.1:9/v1/: tried 3 times in \d+\.\d s: "
    ):
        openai.load(down)


def replace_url(plain: BackendConfig, url: str) -> BackendConfig:
    return plain.model_copy(update={"server": ServerConfig(url=url)})
