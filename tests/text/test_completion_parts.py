"""A completion's reasoning is split off once, whoever made it."""

from harness.schema import Completion
from harness.text.completion_parts import separate
from harness.text.reasoning import closes_thought, opens_thought

CODE = "def f():\n    return 1\n"


def test_the_thought_goes_where_it_belongs_and_a_second_time_changes_nothing() -> None:
    made = separate(Completion(text=f"<think>\nhm\n</think>\n\n{CODE}", completion_tokens=9))
    assert (made.text, made.reasoning, made.cut_off, made.reasoning_tokens) == (CODE, "hm", False, None)
    assert separate(made) == made


def test_what_a_server_or_an_engine_told_apart_stays() -> None:
    told = Completion(text=CODE, reasoning="hm", reasoning_tokens=3)
    assert separate(told) == told
    assert separate(told, opened=True) == told, (
        "the answer is not taken for the thought that the prompt opened"
    )


def test_an_unfinished_thought_leaves_no_answer_and_takes_all_tokens() -> None:
    made = separate(Completion(text=f"<think>\n{CODE}", completion_tokens=9, finish="length"))
    assert (made.text, made.cut_off, made.reasoning_tokens) == ("", True, 9)
    assert separate(made) == made


def test_a_thought_that_the_prompt_opened_needs_no_mark_of_its_own() -> None:
    assert separate(Completion(text=CODE), opened=True).cut_off
    made = separate(Completion(text=f"hm</think>{CODE}"), opened=True)
    assert (made.text, made.reasoning) == (CODE, "hm")


def test_what_was_recorded_to_the_letter_stays() -> None:
    for form in ("continuation", "program"):
        given = Completion(text=f"<think>\nhm\n</think>\n{CODE}", form=form)  # type: ignore[arg-type]
        assert separate(given) == given


def test_the_mark_at_a_prompts_end_is_found() -> None:
    assert opens_thought("Question\n<think>\n")
    assert opens_thought("a <|channel|>analysis<|message|>")
    for prompt in ("", "Use <think> tags.", "<think>\n\n</think>\n\n", "<|channel|>final<|message|>"):
        assert not opens_thought(prompt)
    assert closes_thought("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not closes_thought("<think>\n")
