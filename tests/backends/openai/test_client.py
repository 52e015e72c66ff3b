"""Backend openai: right completions through every fault that passes, a named fault for one that does not."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from harness import backends
from harness.backends import openai
from harness.backends.openai import adapter_proof, thread_pool, transport
from harness.config import grid
from harness.config.backend import BackendConfig, ServerConfig
from harness.config.load import parse
from harness.errors import BackendFault, ConfigError, UserError
from harness.runs import study
from harness.schema import Generation, Message, Prompt, Request, Sampling
from harness.text.completion_parts import separate
from tests.support.command import harness, run_mini
from tests.support.faulty_server import World, asked, serving

DRAWN = Sampling(samples=3, temperature=0.8, max_tokens=16, seed=1)


@pytest.fixture
def world() -> Iterator[World]:
    with serving(World()) as world:
        yield world


def client(world: World, slept: list[float] | None = None, **server: Any) -> openai.OpenAIClient:
    made = openai.load(config(world, **server))
    seconds = slept if slept is not None else []
    made.transport.sleep = lambda wait, cancelled: seconds.append(wait)
    return made


def config(world: World, **server: Any) -> BackendConfig:
    return BackendConfig(kind="openai", model="m", server=ServerConfig(url=world.url, **server))


def requests(problems: int, samples: int = 1) -> list[Request]:
    return [Request(f"p/{i}", Prompt(text=f"q{i}"), tuple(range(samples))) for i in range(problems)]


def texts(made: list[Generation]) -> dict[tuple[str, int], str]:
    assert len({(each.problem_id, each.index) for each in made}) == len(made)
    return {(each.problem_id, each.index): each.completion.text for each in made}


def generate(made: openai.OpenAIClient, wanted: list[Request], sampling: Sampling) -> list[Generation]:
    try:
        return list(made.generate(wanted, sampling))
    finally:
        made.close()


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


def test_samples_come_in_one_request_or_as_many_as_the_server_makes_of_it(world: World) -> None:
    whole = generate(client(world), requests(2, 3), DRAWN)
    assert [body["n"] for body in world.bodies] == [3, 3]
    assert len(set(texts(whole).values())) == 6
    world.bodies.clear()
    world.plan = lambda number, body: "one"
    single = generate(client(world), requests(2, 3), DRAWN)
    assert sum(body.get("n", 1) > 1 for body in world.bodies) <= 2, (
        "nobody asks twice for what is not to be had"
    )
    assert all(body.get("n", 1) == 1 for body in world.bodies[4:])
    assert len(set(texts(single).values())) == 6, "each request has a seed of its own"
    assert {(each.completion.prompt_tokens, each.completion.completion_tokens) for each in whole} == {(7, 5)}


def test_a_resumed_run_draws_other_samples_than_it_has(world: World) -> None:
    first = generate(client(world), [Request("p/0", Prompt(text="q"), (0, 1))], DRAWN)
    rest = generate(client(world), [Request("p/0", Prompt(text="q"), (2,))], DRAWN)
    again = generate(client(world), [Request("p/0", Prompt(text="q"), (2,))], DRAWN)
    assert not set(texts(first).values()) & set(texts(rest).values())
    assert texts(rest) == texts(again)


def test_greedy_asks_for_temperature_nought_and_nothing_random(world: World) -> None:
    generate(client(world), requests(1), Sampling(max_tokens=9, stop=("\n\n", "x")))
    assert world.bodies == [
        {"model": "m", "prompt": "q0", "max_tokens": 9, "temperature": 0.0, "stop": ["\n\n", "x"]}
    ]
    assert world.paths == ["/v1/completions"]


STOPS = ("a!", "b!", "c!", "d!", "\n```", "#")


@pytest.mark.parametrize(
    ("takes", "sent"),
    [
        (9, [list(STOPS)] * 2),
        (4, [list(STOPS), ["a!", "b!", "c!", "\n```"], ["a!", "b!", "c!", "\n```"]]),
        (0, [list(STOPS), ["a!", "b!", "c!", "\n```"], None, None]),
    ],
)
def test_all_stop_strings_are_sent_that_a_server_takes_and_all_are_applied(
    world: World, takes: int, sent: list[object]
) -> None:
    world.answer = lambda body, index: "kept#cut"
    world.plan = lambda number, body: f"stops {takes}"
    made = generate(client(world, concurrency=1), requests(2), Sampling(max_tokens=9, stop=STOPS))
    assert [body.get("stop") for body in world.bodies] == sent
    assert {(each.completion.text, each.completion.finish) for each in made} == {("kept", "stop")}
    assert [each.completion.after_stop_tokens for each in made] == [2, 2], "of 5 tokens, 3 of 8 characters"


def test_a_stop_string_in_a_thought_that_the_prompt_opened_ends_nothing(world: World) -> None:
    world.answer = lambda body, index: "let # me</think>x = 1 # one"
    opened = [Request("p", Prompt(text="q <think>"), (0,))]
    (made,) = generate(client(world), opened, Sampling(max_tokens=9, stop=("#",)))
    assert made.completion.text == "let # me</think>x = 1 "
    world.answer = lambda body, index: "let # me"
    (made,) = generate(client(world), opened, Sampling(max_tokens=9, stop=("#",)))
    assert made.completion.text == "let # me"


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_a_server_that_ends_thoughts_at_stop_strings_is_sent_none(
    world: World, api: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A thought in the text, or told apart by the server's parser, which comes after its stop strings."""

    def said(body: dict[str, Any], index: int) -> str:
        whole = "<think>is it # one?</think>\nx = 1 # one"
        return whole.partition("#")[0] if "stop" in body else whole

    world.answer = said
    world.plan = lambda number, body: "parses" if api == "chat" else ""
    made = generate(client(world, api=api, concurrency=1), requests(2), Sampling(max_tokens=9, stop=("#",)))
    assert [separate(each.completion).text for each in made] == ["x = 1 "] * 2
    assert ["stop" in body for body in world.bodies] == [True, False, False]
    assert len(caplog.records) == 1


def test_a_mistake_that_is_not_about_stop_strings_leaves_them_as_they_are(world: World) -> None:
    world.plan = lambda number, body: "status 422"
    with pytest.raises(ConfigError):
        generate(client(world), requests(1), Sampling(max_tokens=9, stop=STOPS))
    assert [len(body["stop"]) for body in world.bodies] == [6]


@pytest.mark.parametrize("words", ["single", "single 500"])
def test_a_server_that_makes_one_sample_at_a_time_is_asked_so(world: World, words: str) -> None:
    world.plan = lambda number, body: words if body.get("n", 1) > 1 else ""
    made = generate(client(world, concurrency=1), requests(2, 2), DRAWN)
    assert len(set(texts(made).values())) == 4
    assert [body.get("n", 1) for body in world.bodies] == [2, 1, 1, 1, 1]


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


def test_a_prompt_that_the_servers_filter_refuses_is_filtered_and_no_fault(world: World) -> None:
    world.plan = lambda number, body: "prompt_filtered" if asked(body) == "q1" else ""
    made = generate(client(world), requests(3, 2), DRAWN)
    ends = [(each.problem_id, each.completion.finish) for each in made if not each.completion.text]
    assert sorted(ends) == [("p/1", "filtered")] * 2
    assert {each.completion.note for each in made} == {"", "The prompt was filtered"}


def test_the_first_cause_is_told_with_the_last_even_if_another_request_met_it(world: World) -> None:
    world.plan = lambda number, body: "status 500" if number == 0 else "dropped"
    made = client(world, concurrency=1, retries=1)
    with pytest.raises(
        BackendFault, match=r"it began with status 500: told to answer 500; the last one: Remote"
    ):
        list(made.generate(requests(1), Sampling(max_tokens=9)))
    with pytest.raises(BackendFault, match=r"it began with status 500: .*; the last one: Remote"):
        generate(made, requests(1), Sampling(max_tokens=9))


def test_a_server_with_a_limit_on_n_is_asked_for_as_many_as_it_gives(world: World) -> None:
    world.plan = lambda number, body: "most 4"
    made = generate(client(world, concurrency=1), requests(3, 10), DRAWN)
    assert len(set(texts(made).values())) == 30
    assert [body.get("n", 1) for body in world.bodies] == [10, 4, 2, 4, 4, 2, 4, 4, 2]
    world.plan, world.bodies = (lambda number, body: ""), []
    assert len(generate(client(world), requests(1, 300), DRAWN)) == 300
    assert sorted(body["n"] for body in world.bodies) == [44, 128, 128], "OpenAI's own limit is 128"


def test_whether_n_is_honoured_does_not_change_which_seed_a_later_sample_has(world: World) -> None:
    world.plan = lambda number, body: "one"
    alone = texts(generate(client(world, concurrency=1), requests(2, 3), DRAWN))
    together = texts(generate(client(world, concurrency=8), requests(2, 3), DRAWN))
    assert alone == together


def test_samples_are_told_apart_by_their_numbers_and_too_many_are_left(world: World) -> None:
    world.answer = lambda body, index: f"sample {index}"
    world.plan = lambda number, body: "shuffled"
    made = generate(client(world), requests(1, 2), DRAWN)
    assert texts(made) == {("p/0", 0): "sample 0", ("p/0", 1): "sample 0"}


def test_a_prompt_read_once_for_several_samples_is_shared_among_them(world: World) -> None:
    made = generate(client(world), requests(1, 3), DRAWN)
    assert [each.completion.prompt_tokens for each in made] == [7, 7, 7]
    assert [each.completion.prompt_share for each in made] == [3, 2, 2]
    (alone,) = generate(client(world), requests(1), Sampling(max_tokens=9))
    assert alone.completion.prompt_share is None
    assert "prompt_share" not in alone.completion.model_dump()


def test_tokens_that_the_server_does_not_count_are_not_made_up(world: World) -> None:
    world.plan = lambda number, body: "uncounted"
    (made,) = generate(client(world), requests(1), Sampling(max_tokens=9))
    assert (made.completion.prompt_tokens, made.completion.completion_tokens) == (0, 0)


def test_half_a_character_infinities_and_thoughts_do_no_harm(world: World) -> None:
    world.plan = lambda number, body: "half"
    (half,) = generate(client(world), requests(1), Sampling(max_tokens=9))
    assert (half.completion.text, half.completion.finish) == ("a\ufffd", "length")
    world.plan = lambda number, body: "infinite"
    (infinite,) = generate(client(world), requests(1), Sampling(max_tokens=9))
    assert infinite.completion.logprob is None
    world.plan = lambda number, body: "thinks"
    (thinks,) = generate(client(world, api="chat"), requests(1), Sampling(max_tokens=9))
    assert (thinks.completion.text, thinks.completion.finish) == ("", "length")


def test_a_model_that_calls_its_limit_otherwise_is_asked_in_its_words(world: World) -> None:
    world.plan = lambda number, body: "newer"
    assert len(generate(client(world, concurrency=1), requests(3), Sampling(max_tokens=9))) == 3
    assert [("max_tokens" in body, body.get("max_completion_tokens")) for body in world.bodies] == [
        (True, None),
        *[(False, 9)] * 3,
    ]


def test_what_a_server_refuses_can_be_left_out(world: World) -> None:
    made = client(world, omit=("temperature", "seed", "n"), extra={"top_k": 20})
    generate(made, requests(1, 2), DRAWN)
    assert [sorted(body) for body in world.bodies] == [
        ["max_tokens", "model", "prompt", "top_k", "top_p"]
    ] * 2


@pytest.mark.parametrize(("api", "path"), [("auto", "completions"), ("chat", "chat/completions")])
def test_a_text_is_completed_or_said_as_one_turn(world: World, api: str, path: str) -> None:
    (made,) = generate(client(world, api=api, logprobs=True), requests(1), Sampling(max_tokens=9))
    assert world.paths == [f"/v1/{path}"]
    assert made.completion.logprob == -0.75
    assert made.completion.finish == "eos"


def test_a_chat_is_sent_as_its_turns(world: World) -> None:
    prompt = Prompt(messages=(Message(role="system", content="s"), Message(role="user", content="u")))
    generate(client(world), [Request("p", prompt, (0,))], Sampling(max_tokens=9))
    assert world.bodies[0]["messages"] == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "u"},
    ]
    with pytest.raises(ConfigError, match="the prompt is a chat"):
        generate(client(world, api="completions"), [Request("p", prompt, (0,))], Sampling(max_tokens=9))


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


def test_no_more_are_in_flight_than_asked_for(world: World) -> None:
    world.delay = 0.02
    assert len(generate(client(world, concurrency=3), requests(20), Sampling(max_tokens=9))) == 20
    assert 2 <= world.most_at_once <= 3


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        (Sampling(samples=2, beams=2), r"^sampling\.beams: OpenAI's protocol has no beam search"),
        (Sampling(temperature=1.0, top_k=5), r"^sampling\.top_k: OpenAI's protocol has none"),
    ],
)
def test_what_the_protocol_has_not_is_refused(world: World, sampling: Sampling, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        generate(client(world), requests(1), sampling)
    assert world.bodies == []


def test_a_study_is_told_what_a_server_cannot_do_before_any_work(tmp_path: Path) -> None:
    plain = {
        "task": "conala",
        "data": "mini",
        "backend": {"kind": "openai", "model": "m", "server": {"url": "http://127.0.0.1:9/v1"}},
        "matrix": {"way": [{"sampling.beams": 4}, {"sampling.temperature": 1.0, "sampling.top_k": 5}]},
    }
    with pytest.raises(ConfigError, match=r"^2 of 2 cells cannot run: .*no beam search.*sampling\.top_k"):
        study.check(grid.expand(plain, "test"))


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


def test_prompts_too_long_are_skipped_with_the_servers_words(world: World) -> None:
    world.plan = lambda number, body: "context" if int(asked(body)[1:]) % 2 else ""
    made = {
        each.problem_id: each.completion
        for each in generate(client(world), requests(4), Sampling(max_tokens=9))
    }
    assert {name: one.finish for name, one in made.items()} == {
        "p/0": "eos",
        "p/1": "skipped",
        "p/2": "eos",
        "p/3": "skipped",
    }
    assert made["p/1"].text == ""
    assert made["p/1"].note.startswith(
        "too long for the model's context: This model's maximum context length is 4096"
    )
    with pytest.raises(ConfigError, match="over_long = 'truncate_left': the server has the tokenizer"):
        generate(client(world), requests(1), Sampling(over_long="truncate_left"))


def test_prompts_too_long_stop_nothing_and_are_named_together(world: World) -> None:
    world.plan = lambda number, body: "context" if int(asked(body)[1:]) % 2 else ""
    made = client(world, concurrency=1)
    got: list[Generation] = []
    with pytest.raises(UserError, match=r"^p/1: too long .* Likewise p/3, p/5, p/7, p/9, p/11 and 2 more$"):
        got.extend(made.generate(requests(16), Sampling(max_tokens=9, over_long="error")))
    made.close()
    assert [each.problem_id for each in got] == [f"p/{i}" for i in range(0, 16, 2)]


def test_a_key_that_the_server_tells_is_not_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_KEY", "sk-not-to-be-seen\n")
    world.key = "sk-not-to-be-seen"
    world.plan = lambda number, body: "tells"
    with pytest.raises(BackendFault, match=r"Bearer \[the key\]") as caught:
        generate(client(world, key_env="OWN_KEY", retries=0), requests(1), Sampling(max_tokens=9))
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-\nnot", "sk-schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(
    world: World, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OWN_KEY", key)
    with pytest.raises(
        ConfigError, match="in the environment variable OWN_KEY has characters that"
    ) as caught:
        client(world, key_env="OWN_KEY")
    assert "sk-" not in str(caught.value)


def test_leaving_early_waits_for_no_answer(world: World) -> None:
    """As Ctrl-C does. The server sits on all requests but two for longer than anybody waits."""
    gate = threading.Event()

    def plan(number: int, body: dict[str, Any]) -> str:
        if asked(body) not in ("q0", "q1"):
            gate.wait(30)
        return ""

    world.plan = plan
    made = client(world, concurrency=6)
    began = time.monotonic()
    came = made.generate(requests(6), Sampling(max_tokens=9))
    got = [next(came), next(came)]
    came.close()  # type: ignore[attr-defined]
    made.close()
    waited = time.monotonic() - began
    gate.set()
    assert {each.problem_id for each in got} == {"p/0", "p/1"}
    assert waited < 25


def test_what_came_before_ctrl_c_is_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        """A queue whose reader is interrupted at its second look, when all results lie in it."""

        def __init__(self) -> None:
            self.inner: SimpleQueue[Any] = SimpleQueue()
            self.put, self.empty = self.inner.put, self.inner.empty
            self.looks = 0

        def get(self) -> Any:
            self.looks += threading.current_thread() is threading.main_thread()
            if self.looks == 2:
                self.looks += 1
                time.sleep(0.3)
                raise KeyboardInterrupt
            return self.inner.get()

    monkeypatch.setattr(thread_pool, "SimpleQueue", Interrupted)
    left: list[threading.Event] = []

    def work(item: int, gone: threading.Event) -> int:
        left.append(gone)
        return item

    got: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        got.extend(thread_pool.imap_unordered(work, range(8), 4))
    assert len(got) == len(left) == 5, "four were asked for, and a fifth when the first had come"
    assert all(event.is_set() for event in left)


def test_keys_come_from_the_environment_and_are_written_nowhere(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.key = "sk-not-to-be-seen"
    with pytest.raises(ConfigError, match=r"asks for a key: no key in the environment variable OWN_KEY"):
        client(world, key_env="OWN_KEY")
    monkeypatch.setenv("OWN_KEY", "sk-wrong")
    with pytest.raises(ConfigError, match=r"asks for a key: the key in the environment variable OWN_KEY"):
        client(world, key_env="OWN_KEY")
    monkeypatch.setenv("OWN_KEY", world.key)
    world.answer = lambda body, index: "x"
    ended = run_mini(world.url, tmp_path / "run", 3, "--set", "backend.server.key_env=OWN_KEY")
    assert ended.code == 0, ended
    assert set(world.keys) == {f"Bearer {world.key}"}
    made = client(world, key_env="OWN_KEY")
    made.close()
    assert "sk-" not in ended.out + ended.err + repr(made)
    for path in (tmp_path / "run").iterdir():
        assert "sk-" not in path.read_text(), path
    identity = json.loads((tmp_path / "run/run.json").read_text())["backend"]
    assert identity == {
        "kind": "openai",
        "model": "m",
        "engine": "openai api",
        "api": "auto",
        "url": world.url,
    }


def test_a_run_goes_on_where_a_server_failed(world: World, tmp_path: Path) -> None:
    arguments = [
        *(
            "run",
            "--task",
            "conala",
            "--data",
            "mini",
            "--limit",
            6,
            "--model",
            "m",
            "--out",
            tmp_path / "run",
        ),
        *("--set", "backend.kind=openai", "--set", f"backend.server.url={world.url}"),
        *("--set", "backend.server.retries=0", "--set", "backend.server.concurrency=2"),
    ]
    world.answer = lambda body, index: "x = 1"
    world.plan = lambda number, body: "status 500" if number == 3 else ""
    ended = harness(*arguments)
    assert ended.code == 3, ended
    assert "no answer after 1 tries" in ended.err
    before = len(world.bodies)
    assert 4 <= before < 6 + 1
    kept = (tmp_path / "run/generations.jsonl").read_text().count("\n")
    assert kept == before - 1
    ended = harness(*arguments)
    assert ended.code == 0, ended
    assert len(world.bodies) - before == 6 - kept


def conala(world: World, out: Path, *more: object) -> list[object]:
    return [
        *("run", "--task", "conala", "--data", "mini", "--limit", 8, "--model", "m", "--out", out),
        *("--samples", 2, "--set", "sampling.temperature=0.8", "--set", "backend.kind=openai"),
        *("--set", f"backend.server.url={world.url}", "--set", "backend.server.concurrency=2", *more),
    ]


def test_nothing_is_lost_when_a_server_dies_stays_away_and_returns(world: World, tmp_path: Path) -> None:
    undisturbed = harness(*conala(world, tmp_path / "undisturbed"))
    assert undisturbed.code == 0, undisturbed
    with serving(World()) as dying:
        dying.plan = lambda number, body: "dropped" if number >= 3 else ""
        arguments = conala(dying, tmp_path / "run", "--set", "backend.server.retries=1")
        port = int(dying.url.rpartition(":")[2].removesuffix("/v1"))
        died = harness(*arguments)
    assert died.code == 3, died
    assert "no answer after 2 tries" in died.err
    assert "6 of 16 samples are kept; rerun the same command to resume" in died.err
    away = harness(*arguments)
    assert away.code == 3, away
    assert f"no server at http://127.0.0.1:{port}/v1/: tried 3 times in" in away.err
    with serving(World(), port) as back:
        ended = harness(*arguments)
    assert ended.code == 0, ended
    assert len(back.bodies) == 5, "one request for both samples of each problem that is missing"
    assert {asked(body) for body in back.bodies}.isdisjoint(asked(body) for body in dying.bodies[:3])
    for name in ("generations.jsonl", "judgements.jsonl"):
        kept = [(tmp_path / folder / name).read_bytes() for folder in ("undisturbed", "run")]
        assert kept[0] == kept[1]


def test_ctrl_c_ends_a_run_at_once_and_keeps_what_came(world: World, tmp_path: Path) -> None:
    gate = threading.Event()

    def plan(number: int, body: dict[str, Any]) -> str:
        if number >= 6:  # a server that thinks for a long time
            gate.wait(60)
        return ""

    world.plan = plan
    arguments = list(map(str, conala(world, tmp_path / "run")))
    code = (
        "import signal, sys\nfrom harness.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a caller in the background has it ignored
        f"sys.argv = ['harness', *{arguments!r}]\nmain()"
    )
    kept = tmp_path / "run" / "generations.jsonl"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(world.bodies) < 8:
            time.sleep(0.02)
        time.sleep(0.3)
        run.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = run.communicate(timeout=50)
        took = time.monotonic() - began
    gate.set()
    assert run.returncode == 130, err
    assert "Interrupted. Rerun the same command to resume." in err
    assert took < 30
    assert kept.read_text().count("\n") == 12
    world.plan = lambda number, body: ""
    before = len(world.bodies)
    assert harness(*conala(world, tmp_path / "run")).code == 0
    assert len(world.bodies) - before == 2
    assert kept.read_text().count("\n") == 16


def test_a_server_that_is_down_is_told_with_what_was_tried(world: World) -> None:
    down = replace_url(config(world), "http://127.0.0.1:9/v1")
    with pytest.raises(
        BackendFault, match=r"^no server at http://127.0.0.1:9/v1/: tried 3 times in \d+\.\d s: "
    ):
        openai.load(down)


def replace_url(plain: BackendConfig, url: str) -> BackendConfig:
    return plain.model_copy(update={"server": ServerConfig(url=url)})


def test_another_model_than_those_served_is_named(world: World) -> None:
    world.models = ("codellama-7b", "codellama-13b")
    with pytest.raises(ConfigError, match=r"no model 'm'\. Known: codellama-13b, codellama-7b"):
        client(world)


def test_a_study_of_adapters_asks_one_server_for_each_by_its_name(world: World, tmp_path: Path) -> None:
    world.models = ("base", "tuned", "other")
    world.answer = lambda body, index: f"x = {body['model']!r}"
    plain = {
        "task": "conala",
        "data": "mini",
        "limit": 1,
        "backend": {"kind": "openai", "model": "base", "server": {"url": world.url}},
        "matrix": {"adapter": ["", "tuned", "other"]},
    }
    outcome = study.run(grid.expand(plain, "test"), tmp_path)
    assert outcome.failed == []
    probes = [body["model"] for body in world.bodies if asked(body) in adapter_proof.PROBES]
    assert probes == ["base", "tuned", "base", "base", "other", "base"]
    others = [body["model"] for body in world.bodies if asked(body) not in adapter_proof.PROBES]
    assert others == ["base", "tuned", "other"]
    for (_, folder, _), name in zip(outcome.done, world.models, strict=True):
        assert json.loads((folder / "run.json").read_text())["backend"]["model"] == name
    plain["matrix"] = {"adapter": ["tuned", "tunde"]}
    (failed,) = study.run(grid.expand(plain, "test"), tmp_path / "more").failed
    assert "no model 'tunde'. Did you mean 'tuned'?" in failed[1]


def test_the_context_is_the_servers(world: World) -> None:
    made = client(world)
    assert made.fits(Prompt(text="x" * 1000), 100)
    assert not made.fits(Prompt(text="x" * 20_000), 100)
    made.close()


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ({"kind": "openai", "model": "m"}, "kind = 'openai' needs server.url, http://HOST:PORT/v1"),
        (
            {"kind": "hf", "model": "m", "server": {"url": "http://x/v1"}},
            "backend.server has no effect with kind = 'hf'",
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://x/v1"}, "quantize": "4bit"},
            "quantize has no effect with kind = 'openai': set it where the server is started",
        ),
        (
            {"kind": "server", "model": "m", "server": {"command": "vllm serve"}},
            "needs server.command with {port}",
        ),
        ({"kind": "openai", "model": "m", "server": {"urll": "x"}}, "Did you mean 'backend.server.url'"),
        *(
            ({"kind": "openai", "model": "m", "server": {"url": url}}, "expected http(s)://HOST[:PORT]/v1")
            for url in (
                "localhost:8000/v1",
                "http:///v1",
                "http://[::1/v1",
                "http://h:99999/v1",
                "ftp://h/v1",
            )
        ),
        *(
            (
                {"kind": "openai", "model": "m", "server": {"url": url}},
                "server.url may not hold a user, a password",
            )
            for url in (
                "http://user:sk-1@h/v1",
                "http://sk-1@h/v1",
                "http://h/v1?api-key=sk-1",
                "http://h/v1#sk-1",
            )
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://h/v1", "extra": {"temperature": 1}}},
            "server.extra.temperature cannot be set there: it is sampling.temperature",
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://h/v1", "extra": {"stream": True}}},
            "server.extra.stream cannot be set there: answers are read whole",
        ),
        (
            {"kind": "openai", "model": "m", "server": {"url": "http://h/v1", "omit": ["prompt"]}},
            "server.omit.0 = 'prompt'",
        ),
    ],
)
def test_a_config_that_cannot_work_is_refused(backend: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"task": "conala", "backend": backend})
    assert message in str(caught.value)
    assert "sk-1" not in str(caught.value)


def test_how_requests_are_sent_is_no_part_of_a_runs_identity() -> None:
    plain = {"task": "conala", "backend": {"kind": "openai", "model": "m", "server": {"url": "http://x/v1"}}}
    base = parse(plain)
    server = {"url": "http://x/v1", "concurrency": 3, "retries": 1, "request_s": 5, "key_env": "K"}
    assert parse(plain | {"backend": plain["backend"] | {"server": server}}).hash == base.hash  # type: ignore[operator]
    other = {"url": "http://y/v1"}
    assert parse(plain | {"backend": plain["backend"] | {"server": other}}).hash != base.hash  # type: ignore[operator]


def test_the_backend_is_found_by_its_kind(world: World) -> None:
    made = backends.load(config(world), [])
    made.close()
    assert isinstance(made, openai.OpenAIClient)
    assert made.identity["kind"] == "openai"
