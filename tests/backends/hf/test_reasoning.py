"""A model that thinks before it answers: its thought apart, counted, and never taken for the answer."""

import itertools
import logging
from pathlib import Path

import pytest

from harness.schema import Completion, Message, Prompt, Request, Sampling
from tests.support import scripted_model
from tests.support.parts.hf_engine import loaded

ASKED = Prompt(messages=(Message(role="user", content="f"),))
THOUGHT = {
    "<think>\n": {"Try ": 1.0},
    "Try ": {"```python\ndef f(): return 0\n```": 1.0},
    "```python\ndef f(): return 0\n```": {" hm.\n": 1.0},
    " hm.\n": {"</think>": 1.0},
    "</think>": {"\n\n": 1.0},
    "\n\n": {"def f():": 1.0},
    "def f():": {"\n    return 1": 1.0},
    "\n    return 1": {"\n# end": 1.0},
    "\n# end": {"more": 1.0},
}
GREEDY = Sampling(max_tokens=4, max_reasoning_tokens=12)


def complete(folder: Path, sampling: Sampling, prompt: Prompt = ASKED) -> Completion:
    (made,) = loaded(folder).generate([Request("a", prompt, (0,))], sampling)
    return made.completion


def test_a_thought_that_the_template_opened_is_split_off_and_counted(tmp_path: Path) -> None:
    made = complete(scripted_model.build(tmp_path, THOUGHT), GREEDY)
    assert made.text == "def f():\n    return 1\n# endmore"
    assert made.reasoning == "Try ```python\ndef f(): return 0\n``` hm."
    assert (made.reasoning_tokens, made.completion_tokens, made.finish) == (4, 10, "eos")


def test_a_stop_string_ends_an_answer_and_no_thought(tmp_path: Path) -> None:
    made = complete(
        scripted_model.build(tmp_path, THOUGHT), GREEDY.model_copy(update={"stop": ("\n# ", "```")})
    )
    assert (made.text, made.finish) == ("def f():\n    return 1", "stop")


def test_a_sample_that_ends_in_a_thought_is_no_answer(tmp_path: Path) -> None:
    made = complete(scripted_model.build(tmp_path, THOUGHT), Sampling(max_tokens=3))
    assert (made.text, made.cut_off, made.finish) == ("", True, "length")
    assert (made.reasoning_tokens, made.completion_tokens) == (3, 3)
    assert "return 0" in made.reasoning


def test_marks_that_are_special_tokens_are_kept_until_the_thought_is_split_off(tmp_path: Path) -> None:
    script = {
        "ask": {"[THINK]": 1.0},
        "[THINK]": {"so": 1.0},
        "so": {"[/THINK]": 1.0},
        "[/THINK]": {"[OTHER]": 1.0},
        "[OTHER]": {"x = 1": 1.0},
    }
    template = "{{ messages[0]['content'] }}ask"
    folder = scripted_model.build(
        tmp_path, script, template=template, special=["[THINK]", "[/THINK]", "[OTHER]"]
    )
    made = complete(folder, GREEDY)
    assert (made.reasoning, made.text, made.reasoning_tokens) == ("so", "x = 1", 3)


def test_channels_are_special_tokens_too(tmp_path: Path) -> None:
    tokens = ["<|channel|>", "<|message|>", "<|end|>", "<|start|>"]
    said = ["ask", "<|channel|>", "analysis", "<|message|>", "so", "<|end|>", "<|start|>"]
    script: dict[str, dict[str, float]] = {a: {b: 1.0} for a, b in itertools.pairwise(said)}
    script["<|start|>"] = {"assistant<|channel|>final<|message|>x = 1": 1.0}
    folder = scripted_model.build(tmp_path, script, template="ask", special=tokens)
    made = complete(folder, Sampling(max_tokens=12))
    assert (made.reasoning, made.text) == ("so", "x = 1")


def test_too_small_a_budget_is_said_before_the_first_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = scripted_model.build(tmp_path, THOUGHT)
    with caplog.at_level(logging.WARNING):
        complete(folder, Sampling(max_tokens=4))
    assert "this model thinks before it answers, and has 4 tokens for both" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        complete(folder, Sampling(max_tokens=4, max_reasoning_tokens=3000))
        off = "<think>\n\n</think>\n\n{# thinking switched off #}"
        complete(scripted_model.build(tmp_path / "off", THOUGHT, template=off), Sampling(max_tokens=4))
    assert "thinks" not in caplog.text


def test_a_prompt_of_text_may_open_a_thought_as_well(tmp_path: Path) -> None:
    made = complete(scripted_model.build(tmp_path, THOUGHT), GREEDY, Prompt(text="f: <think>\n"))
    assert made.text == "def f():\n    return 1\n# endmore"
