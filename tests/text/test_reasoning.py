"""What a model thought and what it answered: every family of marks, and marks that are only talked about."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.text.reasoning import PAIRS, Split, split

CODE = "```python\ndef f():\n    return 1\n```"
DRAFT = "Try\n```python\ndef f():\n    return 0\n```\nNo."


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<think>", "</think>"),
        ("<think>\n", "\n</think>\n\n"),
        ("<THINK>", "</THINK>"),
        ('<think time="3 s">', "</think>"),
        ("<thinking>", "</thinking>"),
        ("<thinking>", "</think>"),
        ("<thought>", "</thought>"),
        ("<reasoning>", "</reasoning>"),
        ("<reflection>", "</reflection>"),
        ("<seed:think>", "</seed:think>"),
        ("<longcat_think>", "</longcat_think>"),
        ("<think_fast>", "</think_fast>"),
        ("[THINK]", "[/THINK]"),
        ("[THOUGHT]\n", "\n[/THOUGHT]\n"),
        ("◁think▷", "◁/think▷"),
        ("<|begin_of_thought|>", "<|end_of_thought|>"),
        ("<|START_THINKING|>", "<|END_THINKING|>"),
        ("<|inner_prefix|>", "<|inner_suffix|>"),
        ("<|channel>thought\n", "<channel|>"),
        ("<unused94>thought\n", "<unused95>"),
        ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
        ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
        ("Here is my thought process:\n", "\nHere is my response:\n"),
        ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>final <|constrain|>py<|message|>"),
        ("analysisOkay. ", "assistantfinal"),
    ],
)
def test_a_thought_is_split_off_whatever_its_marks(opening: str, closing: str) -> None:
    parts = split(f"{opening}{DRAFT}{closing}{CODE}")
    assert parts.answer == CODE
    assert DRAFT in parts.reasoning
    assert not parts.unfinished


@pytest.mark.parametrize(
    "closing", ["</think>", "</thinking>", "[/THINK]", "◁/think▷", "<|end_of_thought|>", "<channel|>"]
)
@pytest.mark.parametrize("end", ["\n{}\n\n", "{}\n", "{}"])
def test_the_template_may_have_opened_the_thought(closing: str, end: str) -> None:
    assert split(f"Okay. {DRAFT}{end.format(closing)}{CODE}") == Split(f"Okay. {DRAFT}", CODE)


@pytest.mark.parametrize("closing", ["</think>", "[/THINK]", "◁/think▷"])
def test_in_a_thought_that_the_prompt_opened_all_is_thought_up_to_the_closing_mark(closing: str) -> None:
    thought = f"The tag </b> and `</think>` are no end. {DRAFT}"
    assert split(f"{thought}{closing}{CODE}", opened=True) == Split(thought, CODE)
    assert split(f"{thought}\n", opened=True) == Split(thought, "", unfinished=True)
    assert split(CODE, opened=True) == Split(CODE, "", unfinished=True)
    assert split(f"<think>\n{thought}</think>{CODE}", opened=True) == Split(thought, CODE)
    assert split("", opened=True) == Split("", "", unfinished=True)


def test_a_thought_in_channels_that_the_template_opened() -> None:
    assert split(f"{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{CODE}<|return|>") == Split(
        DRAFT, CODE
    )


def test_an_empty_pair_is_no_thought_and_no_answer() -> None:
    assert split(f"<think>\n\n</think>\n\n{CODE}") == Split("", CODE)
    assert split("<think></think>\n\n    return 1") == Split("", "    return 1")


def test_several_thoughts_are_all_split_off() -> None:
    text = f"<think>\na\n</think>\nSo.\n<think>\nb\n</think>\n{CODE}"
    assert split(text) == Split("a\n\nb", f"So.\n\n{CODE}")
    assert split(f"<think>a</think>\n<think>b</think>\n{CODE}") == Split("a\n\nb", CODE)
    assert split(f"a\n</think>\nb\n</think>\n{CODE}") == Split("a\n\nb", CODE)
    assert split(f"<think>a <think>b</think> c</think>\n{CODE}") == Split("a <think>b</think> c", CODE)


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\n{CODE}\nBut",
        f"[THINK]{CODE}",
        f"<|channel|>analysis<|message|>{CODE}",
        f"<|channel|>analysis<|message|>{CODE}<|end|><|start|>assistant<|channel|>commentary<|message|>a",
        f"analysisWe need {CODE}",
        f"Here are my reasoning steps:\n{CODE}",
        f"<think>a</think>\n<think>{CODE}",
    ],
)
def test_a_thought_without_an_end_leaves_no_answer(text: str) -> None:
    parts = split(text)
    assert (parts.answer.strip(), parts.unfinished) == ("", True)
    assert CODE in parts.reasoning


def test_an_unfinished_thought_after_an_answer_leaves_the_answer() -> None:
    assert split(f"{CODE}\n<think>\nIs it?") == Split("Is it?", f"{CODE}\n", unfinished=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        CODE,
        "    return text.split('</think>')[-1]\n",
        'def f(s):\n    return re.sub(r"<think>.*?</think>", "", s)\n',
        "x = '<think>'\n",
        'PROMPT = """\n<think>\nhm\n</think>\n"""\n',
        "```python\nEND = '''\n</think>\n'''\n```",
        "```python\n# up to </think>\nx = 1\n```\nIt drops what stands before `</think>`.",
        f"{CODE}\nIt drops everything up to </think>.",
        f"{CODE}\nThe tag </think> ends a thought.",
        f"{CODE}\nNote: <think> and </think> are tags.",
        f"The mark <think> opens a thought.\n{CODE}",
        "def f():\n    # everything up to </think>\n    return 1\n",
        f"Here is my thought process:\n{CODE}",
        f"analysis of the task:\n{CODE}",
        "if '<|channel|>final<|message|>' in text:\n    pass\n",
        "```python\nCHAT = '''\n<|im_start|>user\n<|im_end|>\n'''\n```",
        'CHAT = """<|im_start|>user\n{x}\n<|im_end|>\n<|im_start|>assistant\n"""\n',
        "x = text.split('</s>')\n",
    ],
)
def test_marks_that_are_talked_about_are_none(text: str) -> None:
    assert split(text) == Split("", text)


def test_marks_in_a_draft_do_not_end_the_thought() -> None:
    thought = "```python\nx = s.split('</think>')\n```\nor `</think>`"
    assert split(f"<think>\n{thought}\n</think>\n{CODE}") == Split(thought, CODE)


def test_a_draft_whose_block_is_open_ends_with_the_thought() -> None:
    assert split(f"Try\n```python\nx = 0\n</think>\n\n{CODE}").answer == CODE


@pytest.mark.parametrize(
    "token", ["<|im_end|>", "<|eot_id|>", "</s>", "<|endoftext|>\n", "<|im_end|>\n<|endoftext|>"]
)
def test_tokens_that_end_the_turn_are_taken_off(token: str) -> None:
    assert split(f"{CODE}{token}") == Split("", CODE)
    assert split(f"<think>a</think>{CODE}\n{token}") == Split("a", CODE)


@pytest.mark.parametrize(
    "behind",
    [
        "<|endoftext|>\n```python\nmore\n```",
        "\n<|im_end|>\n<|im_start|>user\nmore",
        "\n<|im_start|>user\nmore",
        "</s>[INST] more",
    ],
)
def test_what_comes_after_the_turn_is_no_answer(behind: str) -> None:
    assert split(f"{CODE}{behind}").answer == CODE + ("\n" if behind.startswith("\n<|im_start") else "")


def test_the_beginning_of_the_models_own_turn_is_taken_off() -> None:
    assert split(f"<|im_start|>assistant\n<think>a</think>{CODE}<|im_end|>") == Split("a", CODE)


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        ("<answer>\n", "\n</answer>"),
        ("<Output>", "</Output>"),
        ("[ANSWER]\n", "[/ANSWER]"),
        ("<|begin_of_solution|>\n", "<|end_of_solution|>"),
        ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ],
)
def test_marks_around_an_answer_behind_a_thought_are_taken_off(opening: str, closing: str) -> None:
    assert split(f"<think>a</think>\n{opening}{CODE}{closing}").answer.rstrip() == CODE


# ---------------------------------------------------------------- any text

WORDS = st.text(st.characters(exclude_characters="<>[]|◁▷`\"'\ufeff", exclude_categories=["Cs"]))
MARKS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "[THINK]",
        "[/THINK]",
        "<|channel|>final<|message|>",
        "<|end|>",
        "<|im_end|>",
        "```",
        '"',
        "`",
        "\n",
        "a",
        '"""',
    ]
)


@settings(max_examples=300, deadline=None)
@given(WORDS, WORDS)
def test_whatever_stands_in_a_pair_is_thought_and_the_rest_is_the_answer(thought: str, said: str) -> None:
    for opening, closing in (("<think>\n", "\n</think>\n\n"), ("[THINK]", "[/THINK]")):
        parts = split(f"{opening}{thought}{closing}x{said}")
        assert (parts.reasoning, parts.answer, parts.unfinished) == (thought.strip(), f"x{said}", False)


@settings(max_examples=300, deadline=None)
@given(WORDS)
def test_a_text_without_marks_comes_back_to_the_letter(text: str) -> None:
    if not text.lstrip().startswith(("analysis", "Here")):
        assert split(text) == Split("", text)


@settings(max_examples=500, deadline=None)
@given(st.lists(MARKS, max_size=30).map("".join))
def test_no_text_makes_it_fall_over(text: str) -> None:
    parts = split(text)
    assert len(parts.answer) <= len(text)
    assert split(parts.answer).answer is not None


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "unit",
    ["<think>", "</think>", '"</think>\n', "<think> a\n", "</s>", "a</s>\n", "<|channel|>final<|message|>"],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(unit: str) -> None:
    text = f"a\n{(unit * (1_000_000 // len(unit) + 1))[:1_000_000]}"
    parts = split(text)
    assert len(parts.reasoning) + len(parts.answer) <= len(text)
    assert parts.answer or parts.reasoning  # nothing that was said is lost


def test_every_family_has_two_marks() -> None:
    assert len(PAIRS) > 15
    assert all(pair.opening != pair.closing for pair in PAIRS.values())
