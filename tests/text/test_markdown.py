"""The code blocks of a text: as CommonMark has them, and as models mean them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.text.languages import language_of
from harness.text.markdown import Block, blocks


def found(text: str) -> list[tuple[str, str]]:
    return [(block.word, block.code) for block in blocks(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no block", []),
        ("```python\na = 1\n```", [("python", "a = 1\n")]),
        ("~~~ py\na\n~~~\n```\nb\n```", [("py", "a\n"), ("", "b\n")]),
        ("`````python\na\n`````", [("python", "a\n")]),
        ("``` {.python .x}\na\n```", [("python", "a\n")]),
        ("```{python}\na\n```", [("python", "a\n")]),
        ('```python title="a.py"\na\n```', [("python", "a\n")]),
        ("1. So:\n   ```python\n   a\n     b\n   ```", [("python", "a\n  b\n")]),
        ("- ```python\n  a\n  ```", [("python", "a\n")]),
        ("   ```python\na\n    b\n   ```", [("python", "a\n    b\n")]),
        ("> ```python\n> a\n>   b\n> ```", [("python", "a\n  b\n")]),
        ("> > ```py\n> > a\n> > ```", [("py", "a\n")]),
        ("[/INST] ```python\na\n```</s>", [("python", "a\n")]),
        ("<|assistant|>```python\n  a\n```", [("python", "  a\n")]),
        ("The answer is: ```python\na\n```", [("python", "a\n")]),
        ("x\r```python\ra\r```\r", [("python", "a\r")]),
        ("```python\r\na\r\n```\r\n", [("python", "a\r\n")]),
        ("```def f():\n    pass\n```", [("", "def f():\n    pass\n")]),
        ("```python def f(): pass\n```", [("python", "def f(): pass\n")]),
        ("```python sorted(x)```", [("python", "sorted(x)")]),
    ],
)
def test_a_block_has_its_language_and_its_code_without_what_it_stands_in(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    """Doc.\n\n    ```\n    f()\n    ```\n    """\n',
        'def f():\n    """Doc.\n\n    ```python\n    f()\n    ```\n    """\n',
        '"""Doc.\n\n```\nf()\n```\n"""\nx = 1\n',
        "x = '''\n```\n'''\ny = 1\n",
        "x = 1  # an apostrophe's comment, ```\ny = '```'\n",
    ],
)
def test_fences_in_a_docstring_belong_to_the_code(text: str) -> None:
    assert found(f"```python\n{text}```\nDone.") == [("python", text)]


def test_a_block_with_an_open_string_does_not_swallow_the_next() -> None:
    text = "```python\nx = '''\n```\nand\n```python\ny = '''a'''\n```\n"
    assert found(text) == [("python", "x = '''\n"), ("python", "y = '''a'''\n")]


def test_a_block_without_an_end_ends_where_the_next_begins_or_with_the_text() -> None:
    assert found("```python\na\nThen:\n```bash\nls") == [("python", "a\nThen:\n"), ("bash", "ls")]


def test_a_fence_that_is_said_twice_opens_one_block() -> None:
    assert found("```python\n```python\na\n```\n")[0] == ("python", "a\n")


@pytest.mark.parametrize(
    ("opening", "closing"), [("```markdown", "```"), ("````", "````"), ("````text", "````")]
)
def test_an_answer_that_is_one_block_of_markdown_is_looked_into(opening: str, closing: str) -> None:
    assert ("python", "a\n") in found(f"{opening}\n```python\na\n```\n{closing}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n```\nprose", ["a\n", "prose"]),
        ("a\n```\nuse:\n```python\nb\n```", ["a\n", "b\n"]),
        ("a\n```\nOutput:\n```\n5\n```\n", ["a\n", "5\n"]),
        ("Here:\n```\na\n```\n", ["a\n"]),
    ],
)
def test_the_prompt_may_have_opened_the_first_block(text: str, expected: list[str]) -> None:
    assert [block.code for block in blocks(text)] == expected
    assert blocks(text)[0].opened == (len(expected) == 1)


def test_a_block_says_where_it_stands() -> None:
    text = "So:\n   ```python\n   a\n   ```\n"
    assert blocks(text) == [Block("python", "a\n", 17, 22, 4)]
    assert text[17:22] == "   a\n"


def test_what_a_fence_names_is_a_language_by_many_names() -> None:
    assert [language_of(word) for word in ("Py", "python3", "C++", "sh", "golang", "output", "whatever", "")] == [
        "python", "python", "cpp", "shell", "go", "data", "", "",
    ]  # fmt: skip


PIECES = st.sampled_from(
    [
        "```",
        "~~~~",
        "`",
        '"""',
        "'",
        "#",
        "> ",
        "- ",
        "1. ",
        "python",
        "\n",
        "\r\n",
        "\r",
        " ",
        "    ",
        "a = 1",
        "[A]",
        "<a>",
    ]
)


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join) | st.text())
def test_blocks_lie_in_the_text_one_behind_another(text: str) -> None:
    end = 0
    for block in blocks(text):
        assert end <= block.start <= block.end <= len(text)
        assert block.line <= block.start
        end = block.end


@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", ["```\n", '```python\n"""\n', '"""\n```\n', "> ", "a: ```python\n", "`"])
def test_a_megabyte_of_anything_is_read_in_linear_time(unit: str) -> None:
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    found = blocks(text)
    assert all(0 <= block.start <= block.end <= len(text) for block in found)
    assert bool(found) == ("```" in text)
