"""What an extractor finds in a completion, form by form; and that no text whatever makes one fall over."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.schema import Completion, Form, Problem, Reference, UnitTests
from harness.text import extract

PROMPT = '''from typing import List


def helper(x: int) -> int:
    return x * 2


def total(xs: List[int]) -> int:
    """Sum of the doubled numbers."""
'''
HEAD = "from typing import List\n\n\ndef helper(x: int) -> int:\n    return x * 2\n\n\n"
BODY = "    return sum(helper(x) for x in xs)\n"
WHOLE = "def total(xs: List[int]) -> int:\n    return sum(helper(x) for x in xs)\n"

TOTAL = Problem(
    id="t/0", question=PROMPT, solution=BODY, check=UnitTests(code="check(total)", entry_point="total")
)
ANSWER = Problem(id="t/1", question="sort xs", solution="xs.sort()", check=Reference(texts=("xs.sort()",)))


def program(text: str, form: Form = "output") -> str:
    return extract.python_program(TOTAL, Completion(text=text, form=form))


def short(text: str, form: Form = "output") -> str:
    return extract.first_code_block(ANSWER, Completion(text=text, form=form))


# ---------------------------------------------------------------- fences


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ("```python\na = 1\n```", "a = 1\n"),
        ("```\na = 1\n```\n", "a = 1\n"),
        ("~~~python\na = 1\n~~~\n", "a = 1\n"),
        ("``` python\na = 1\n```", "a = 1\n"),
        ("```python title='x'\na = 1\n```", "a = 1\n"),
        ("```c++\na = 1;\n```", "a = 1;\n"),
        ("Sure:\n\n```python\na = 1\n```\nIt sets a.", "a = 1\n"),
        ("```python\na = 1\n```\n```python\nb = 2\n```", "a = 1\n"),
        ("  ```python\na = 1\n  ```", "a = 1\n"),
    ],
)
def test_the_first_fenced_block_is_found_whatever_stands_around_it(text: str, inside: str) -> None:
    assert extract.first_fenced(text) == inside


def test_an_unclosed_block_runs_to_the_end() -> None:
    assert extract.first_fenced("Here:\n```python\na = 1\nb = 2") == "a = 1\nb = 2"


def test_an_opening_without_a_line_after_it_holds_nothing() -> None:
    assert extract.first_fenced("```python") == ""


def test_a_text_without_a_fence_has_no_block() -> None:
    assert extract.first_fenced("a = 1\nprint(`a`)") is None


def test_a_block_that_the_prompt_opened_ends_at_the_first_fence() -> None:
    assert extract.first_fenced("a = 1\n```\nThis sets a.") == "a = 1\n"


def test_a_block_that_the_prompt_opened_is_not_what_stands_between_it_and_the_next_one() -> None:
    text = "a = 1\n```\nUse it like this:\n```python\nprint(a)\n```\n"
    assert extract.first_fenced(text) == "a = 1\n"


def test_a_bare_block_after_prose_is_the_answer_and_not_the_prose() -> None:
    assert extract.first_fenced("Here it is:\n```\na = 1\n```\n") == "a = 1\n"


def test_a_longer_fence_holds_shorter_ones() -> None:
    text = "````python\ntext = '''\n```\ninner\n```\n'''\n````\nend"
    assert extract.first_fenced(text) == "text = '''\n```\ninner\n```\n'''\n"


def test_tildes_do_not_close_backticks() -> None:
    assert extract.first_fenced("```\na\n~~~\nb\n```") == "a\n~~~\nb\n"


def test_a_longer_fence_closes_a_shorter_one() -> None:
    assert extract.first_fenced("```python\na = 1\n`````\nend") == "a = 1\n"


def test_windows_line_ends_stay_in_the_code_and_do_not_hide_the_fence() -> None:
    assert extract.first_fenced("Sure:\r\n```python\r\na = 1\r\n```\r\nDone.") == "a = 1\r\n"


@pytest.mark.parametrize("text", ["```sorted(x)```", "So:\n```sorted(x)```\nIt sorts."])
def test_backticks_that_open_and_close_on_one_line_hold_the_answer(text: str) -> None:
    assert extract.first_fenced(text) == "sorted(x)"


def test_three_backticks_inside_a_line_are_no_fence() -> None:
    assert extract.first_fenced("a = '''```'''") is None


# ---------------------------------------------------------------- short answers


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("xs.sort()", "xs.sort()"),
        ("  xs.sort()\n\n", "xs.sort()"),
        ("Use this:\n```python\nxs.sort()\n```\n", "xs.sort()"),
        ("```\nxs.sort()", "xs.sort()"),
        ("xs.sort()\n```", "xs.sort()"),
        ("", ""),
        ("```python\n```", ""),
    ],
)
def test_a_short_answer_is_the_first_block_or_the_whole_text(text: str, answer: str) -> None:
    assert short(text) == answer


@pytest.mark.parametrize("form", ["continuation", "program"])
def test_a_recorded_short_answer_is_only_stripped(form: Form) -> None:
    assert short(" ```\nxs\n``` \n", form) == "```\nxs\n```"


# ---------------------------------------------------------------- programs


def test_a_recorded_continuation_is_appended_to_the_letter() -> None:
    for text in ("", BODY, "```python\n    return 0\n```", WHOLE, "  \r\n\x00"):
        assert program(text, "continuation") == PROMPT + text


def test_a_recorded_program_is_taken_as_it_is() -> None:
    for text in ("", BODY, "```python\n" + WHOLE + "```", WHOLE):
        assert program(text, "program") == text


def test_a_body_continues_the_prompt() -> None:
    assert program(BODY) == PROMPT + BODY


def test_a_body_in_a_block_continues_the_prompt() -> None:
    assert program(f"The body is:\n```python\n{BODY}```\n") == PROMPT + BODY


@pytest.mark.parametrize("text", [WHOLE, f"```python\n{WHOLE}```", f"Sure!\n```\n{WHOLE}```\nDone."])
def test_a_whole_function_gets_the_imports_and_helpers_above_it_and_not_the_prompts_stub(text: str) -> None:
    assert program(text) == HEAD + WHOLE


def test_a_whole_function_without_the_imports_it_needs_runs() -> None:
    scope: dict[str, object] = {}
    exec(program(WHOLE), scope)
    assert eval("total([1, 2, 3])", scope) == 12


def test_an_async_function_and_a_class_are_found_under_their_own_names() -> None:
    assert extract.defines("async def total(): pass", "total")
    assert extract.defines("class total: pass", "total")
    assert not extract.defines("def total_of(): pass", "total")
    assert not extract.defines("def outer():\n    def total(): pass", "total")
    assert not extract.defines("total = 1", "total")
    assert not extract.defines("def total(:", "total")


def test_a_function_of_another_name_continues_the_prompt() -> None:
    text = "def other(xs):\n    return 1\n"
    assert program(text) == PROMPT + text


def test_a_helper_whose_name_begins_like_the_entry_point_stays_above_it() -> None:
    prompt = "def total_of(xs):\n    return sum(xs)\n\n\ndef total(xs):\n"
    problem = TOTAL.model_copy(update={"question": prompt})
    found = extract.python_program(problem, Completion(text="def total(xs):\n    return total_of(xs)\n"))
    assert found == ("def total_of(xs):\n    return sum(xs)\n\n\ndef total(xs):\n    return total_of(xs)\n")


def test_a_decorator_of_the_prompts_stub_does_not_land_on_the_answer() -> None:
    prompt = "import functools\n\n@functools.cache\ndef total(xs):\n"
    problem = TOTAL.model_copy(update={"question": prompt})
    found = extract.python_program(problem, Completion(text="def total(xs):\n    return 1\n"))
    assert found == "import functools\n\ndef total(xs):\n    return 1\n"


def test_a_prompt_that_does_not_define_the_entry_point_adds_nothing_to_a_whole_function() -> None:
    problem = TOTAL.model_copy(update={"question": "Write total."})
    assert extract.python_program(problem, Completion(text=WHOLE)) == WHOLE


def test_warnings_about_the_models_code_are_nobodys_affair() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract.defines('def total(x):\n    return x is 1 or "\\d"\n', "total")


def test_python_program_refuses_a_problem_without_tests() -> None:
    with pytest.raises(TypeError, match="t/1: python_program needs a problem with unit tests"):
        extract.python_program(ANSWER, Completion(text="x"))


# ---------------------------------------------------------------- any text

PIECES = st.sampled_from(
    [
        "```",
        "~~~~",
        "`",
        "python",
        "\n",
        "\r\n",
        " ",
        "\t",
        "def total(xs):",
        "    return 1",
        "\x00",
        "(",
        "\ud800",
        "é",
    ]
)
TEXTS = st.text() | st.lists(PIECES, max_size=30).map("".join)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.sampled_from(["output", "continuation", "program"]))
def test_no_text_makes_an_extractor_fall_over(text: str, form: Form) -> None:
    completion = Completion.model_construct(text=text, form=form)
    assert isinstance(extract.first_code_block(ANSWER, completion), str)
    found = extract.python_program(TOTAL, completion)
    assert found.startswith((PROMPT, HEAD)) or form == "program"


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_what_is_found_between_fences_was_in_the_text(text: str) -> None:
    found = extract.first_fenced(text)
    assert found is None or found in text


@pytest.mark.parametrize("text", ["(" * 100_000, "-" * 100_000 + "1", "x" + "[0]" * 50_000, "9" * 10_000])
def test_absurd_code_is_no_definition_and_no_error(text: str) -> None:
    assert program(text) == PROMPT + text


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("`" * 200_000 + "x`", None),
        ("```" + "a" * 200_000 + "`", None),
        ("```" + " " * 200_000 + "`", None),
        (" " * 200_000 + "x", None),
        ("```\n" * 50_000, ""),
        ("```a```" + " " * 200_000 + "x", None),
        ("```py\n" + "a ``` \n" * 50_000, "a ``` \n" * 50_000),
    ],
    ids=["ticks", "a long language", "blanks", "no fence", "fences", "fences in a line", "fences after code"],
)
def test_a_hostile_text_takes_no_time(text: str, block: str | None) -> None:
    assert extract.first_fenced(text) == block
