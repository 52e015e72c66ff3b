"""What the client asks of a server: samples, limits and chats in its own words; and what it makes of the answers."""

import pytest

from harness.errors import ConfigError, UserError
from harness.schema import Generation, Message, Prompt, Request, Sampling
from tests.support.faulty_server import World, asked
from tests.support.parts.openai_client import DRAWN, client, generate, requests, texts


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


@pytest.mark.parametrize("words", ["single", "single 500"])
def test_a_server_that_makes_one_sample_at_a_time_is_asked_so(world: World, words: str) -> None:
    world.plan = lambda number, body: words if body.get("n", 1) > 1 else ""
    made = generate(client(world, concurrency=1), requests(2, 2), DRAWN)
    assert len(set(texts(made).values())) == 4
    assert [body.get("n", 1) for body in world.bodies] == [2, 1, 1, 1, 1]


def test_a_prompt_that_the_servers_filter_refuses_is_filtered_and_no_fault(world: World) -> None:
    world.plan = lambda number, body: "prompt_filtered" if asked(body) == "q1" else ""
    made = generate(client(world), requests(3, 2), DRAWN)
    ends = [(each.problem_id, each.completion.finish) for each in made if not each.completion.text]
    assert sorted(ends) == [("p/1", "filtered")] * 2
    assert {each.completion.note for each in made} == {"", "The prompt was filtered"}


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


def test_no_more_are_in_flight_than_asked_for(world: World) -> None:
    world.delay = 0.02
    assert len(generate(client(world, concurrency=3), requests(20), Sampling(max_tokens=9))) == 20
    assert 2 <= world.most_at_once <= 3


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


def test_the_context_is_the_servers(world: World) -> None:
    made = client(world)
    assert made.fits(Prompt(text="x" * 1000), 100)
    assert not made.fits(Prompt(text="x" * 20_000), 100)
    made.close()
