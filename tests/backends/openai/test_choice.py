"""What servers say within the protocol is read as data; what is broken is not."""

import json
import logging
from typing import Any

import pytest

from harness.backends.openai import response
from harness.backends.openai.transport import InvalidResponse, Reply
from harness.schema import Completion, Sampling

CODE = "```python\nx = 1\n```"


def completions(
    *choices: dict[str, Any], usage: dict[str, Any] | None = None, stop: tuple[str, ...] = ()
) -> list[Completion]:
    plain = {"choices": list(choices), "usage": usage or {"prompt_tokens": 5, "completion_tokens": 9}}
    return response.completions(
        Reply(200, {}, json.dumps(plain).encode()), Sampling(stop=stop), most=len(choices)
    )


def chat(finish: object = "stop", **message: Any) -> dict[str, Any]:
    return {"message": {"role": "assistant", **message}, "finish_reason": finish}


@pytest.mark.parametrize(
    ("choice", "text", "finish"),
    [
        (chat(content=None), "", "eos"),
        (chat(), "", "eos"),
        ({"text": None, "finish_reason": "stop"}, "", "eos"),
        (chat(content=""), "", "eos"),
        (chat(content=[{"type": "text", "text": "a"}, {"type": "output_text", "text": "b"}]), "ab", "eos"),
        (chat(content=["a", "b"]), "ab", "eos"),
        (chat(content=[]), "", "eos"),
        (chat(content=[{"type": "image_url", "image_url": {"url": "x"}}]), "", "eos"),
        (chat("end_turn", content="a"), "a", "eos"),
        (chat("STOP", content="a"), "a", "eos"),
        (chat("eos_token", content="a"), "a", "eos"),
        (chat(None, content="a"), "a", "eos"),
        (chat("stop_sequence", content="a"), "a", "stop"),
        ({**chat(content="a"), "stop_reason": "\n#"}, "a", "stop"),
        ({**chat(content="a"), "stop_reason": 2}, "a", "eos"),
        ({**chat(content="a"), "matched_stop": "\n#"}, "a", "stop"),
        (chat({"type": "length", "length": 16}, content="a"), "a", "length"),
        (chat("max_tokens", content="a"), "a", "length"),
        (chat("MAX_TOKENS", content="a"), "a", "length"),
        (chat("model_length", content="a"), "a", "length"),
        (chat("content_filter", content=CODE), "", "filtered"),
        (chat("SAFETY", content=None), "", "filtered"),
        ({"finish_reason": "content_filter"}, "", "filtered"),
        (chat(content=None, refusal="No."), "", "refused"),
        (chat(content="", refusal="No."), "", "refused"),
        (chat(content=CODE, refusal=None), CODE, "eos"),
        (chat(content=[{"type": "refusal", "refusal": "No."}]), "", "refused"),
        (chat("refusal", content="No."), "", "refused"),
        (chat("tool_calls", content=None, tool_calls=[{"id": "1"}]), "", "tool_calls"),
        (chat("stop", content=None, tool_calls=[{"id": "1"}]), "", "tool_calls"),
        (chat("function_call", content="a"), "a", "tool_calls"),
    ],
)
def test_each_way_to_end_is_read(choice: dict[str, Any], text: str, finish: str) -> None:
    (made,) = completions(choice)
    assert (made.text, made.finish) == (text, finish)


@pytest.mark.parametrize(
    "choice",
    [
        chat("abort", content="half"),
        chat("error", content=""),
        {**chat(content="half"), "error": {"message": "upstream"}},
        chat("insufficient_system_resource", content=None),
        chat(None, content=None),
        {"finish_reason": "stop"},
        {"message": None, "finish_reason": "stop"},
        chat(content=7),
        chat(content={"text": "a"}),
        chat(content=[7]),
    ],
)
def test_what_is_broken_is_no_completion(choice: dict[str, Any]) -> None:
    with pytest.raises(InvalidResponse):
        completions(choice)


def test_a_refusals_words_and_what_a_filter_let_pass_are_kept_beside_the_answer() -> None:
    assert completions(chat(content=None, refusal="I can't."))[0].note == "I can't."
    assert completions(chat("content_filter", content="half of it"))[0].note == "half of it"


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning_content": "I think."},
        {"reasoning": "I think."},
        {"reasoning_content": "", "reasoning": "I think."},
        {"reasoning_content": ["I ", "think."]},
        {"reasoning": [{"type": "text", "text": "I "}, {"type": "text", "text": "think."}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "I think."}]},
        {"thinking_blocks": [{"type": "thinking", "thinking": "I think."}]},
    ],
)
@pytest.mark.parametrize("content", [CODE, None])
def test_a_thought_beside_or_in_place_of_the_answer_is_kept_apart(
    message: dict[str, Any], content: str | None
) -> None:
    (made,) = completions(chat(content=content, **message))
    assert (made.text, made.reasoning, made.cut_off) == (content or "", "I think.", False)


def test_blank_lines_behind_a_thought_are_no_answer_that_a_stop_string_ends() -> None:
    (made,) = completions(chat(content="\n\nx = 1\ny", reasoning_content="I think."), stop=("\n",))
    assert made.text == "x = 1"
    (made,) = completions(chat(content="\n\nx = 1\ny"), stop=("\n",))
    assert made.text == ""


def test_a_thought_among_the_parts_of_the_content_is_no_answer() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "I think."}]}
    (made,) = completions(chat(content=[thought, {"type": "text", "text": CODE}]))
    assert (made.text, made.reasoning) == (CODE, "I think.")


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_thought_that_uses_up_the_tokens_is_cut_off(content: str | None) -> None:
    (made,) = completions(chat("length", content=content, reasoning_content="I think"))
    assert made.cut_off
    assert made.finish == "length"
    assert not made.text.strip()
    assert not completions(chat("length", content="x =", reasoning_content="I think"))[0].cut_off


def test_reasoning_tokens_are_the_servers_and_shared_among_the_samples() -> None:
    usage = {"completion_tokens": 90, "completion_tokens_details": {"reasoning_tokens": 41}}
    one, other = completions(*[chat(content="a", reasoning="b")] * 2, usage=usage)
    assert (one.reasoning_tokens, other.reasoning_tokens) == (21, 20)
    assert (one.completion_tokens, other.completion_tokens) == (45, 45)
    sglang = {"completion_tokens": 90, "reasoning_tokens": 30}
    assert completions(chat(content="a"), usage=sglang)[0].reasoning_tokens == 30
    nought = {"completion_tokens": 90, "completion_tokens_details": {"reasoning_tokens": 0}}
    assert completions(chat(content="a", reasoning="b"), usage=nought)[0].reasoning_tokens is None
    assert completions(chat(content="a", reasoning="b"))[0].reasoning_tokens is None
    null = {"completion_tokens": 90, "completion_tokens_details": None}
    assert completions(chat(content="a"), usage=null)[0].reasoning_tokens is None


def test_tokens_behind_a_stop_string_are_counted_apart() -> None:
    usage = {"completion_tokens": 100, "completion_tokens_details": {"reasoning_tokens": 60}}
    text = "x" * 9 + "#" + "y" * 10
    (made,) = completions(chat(content=text, reasoning="z" * 80), usage=usage, stop=("#",))
    assert (made.text, made.finish, made.after_stop_tokens) == ("x" * 9, "stop", 20), "half of 40"
    (made,) = completions(
        chat(content=text, reasoning="z" * 80), usage={"completion_tokens": 100}, stop=("#",)
    )
    assert made.after_stop_tokens == 10, "10 of 100 characters"
    (made,) = completions(chat(content="x#"), usage=usage, stop=("#",))
    assert (made.text, made.after_stop_tokens) == ("x", 0), "the stop string itself is not behind it"


def test_a_stop_string_in_a_thought_that_the_server_left_in_the_text_ends_nothing() -> None:
    thought = "<think>\nlet # me\n</think>\n\n"
    (made,) = completions(chat(content=f"{thought}x = 1 # one"), stop=("#", "\n\n"))
    assert (made.text, made.finish) == (f"{thought}x = 1 ", "stop")
    (made,) = completions(chat("length", content="<think>\nlet # me"), stop=("#",))
    assert (made.text, made.finish) == ("<think>\nlet # me", "length")
    (made,) = completions(chat(content="<think>\n\n</think>\n\nx = 1\ny"), stop=("\n",))
    assert made.text == "<think>\n\n</think>\n\nx = 1"


def test_an_unknown_reason_is_an_end_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = completions(*[chat("new_reason_of_next_year", content="a")] * 2)
    assert [each.finish for each in made] == ["eos", "eos"]
    assert [record.getMessage() for record in caplog.records] == [
        "the server ended a completion for a reason unknown here, 'new_reason_of_next_year': taken for its end"
    ]


def test_a_text_without_marks_that_fills_the_room_to_think_is_a_thought_that_was_cut_off() -> None:
    def one(choice: dict[str, Any], room: int) -> Completion:
        plain = {"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 9}}
        sampling = Sampling(max_tokens=4, max_reasoning_tokens=room, stop=("x =",))
        return response.completions(Reply(200, {}, json.dumps(plain).encode()), sampling, most=1)[0]

    made = one(chat("length", content=CODE), room=5)
    assert (made.text, made.reasoning, made.cut_off, made.finish, made.reasoning_tokens) == (
        "",
        CODE,
        True,
        "length",
        9,
    )
    for choice, room in (
        (chat("length", content=CODE), 0),  # no room to think: an answer
        (chat("stop", content=CODE), 5),  # it ended by itself
        (chat("length", content=CODE, reasoning="hm"), 5),  # the server tells them apart
        (chat("length", content=f"hm</think>{CODE}"), 5),  # so does a mark
    ):
        assert not one(choice, room).cut_off
        assert one(choice, room).text
