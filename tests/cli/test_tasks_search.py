"""The list of tasks, searched: by language, kind, licence and size, offline; and a card's defaults."""

import json

import pytest

from harness.tasks.loading import registry
from tests.support.command import harness


def names(*options: str) -> set[str]:
    ended = harness("tasks", *options)
    assert ended.code == 0, ended.err
    return {line.split()[0] for line in ended.out.splitlines() if line[0] != " "}


def test_a_language_a_tag_a_licence_and_a_size_each_leave_fewer() -> None:
    java = names("--language", "java")
    assert {"humaneval_x", "humanevalpack", "code_trans"} <= java
    assert not {"humaneval", "spider"} & java
    assert names("--language", "java", "--tag", "repair") == {"humanevalpack"}
    sql = names("--tag", "text-to-sql")
    assert names("--tag", "text-to-sql", "--licence", "bsd") == {"wikisql"} < sql
    small = names("--max-problems", "164")
    assert {"humaneval", "humaneval_x"} <= small
    assert not {"mbpp", "apps"} & small


def test_the_list_as_a_document_has_what_the_cards_have() -> None:
    found = {row["name"]: row for row in json.loads(harness("tasks", "--json").out)}
    assert set(found) == set(registry.names())
    assert found["humaneval"]["default_prompt"] == {"chat": "chat", "base": "plain"}
    assert found["humaneval"]["sizes"] == {"test": 164}
    card = json.loads(harness("tasks", "humanevalpack", "--json").out)
    assert "rust" in card["languages"]
    assert card["options"]["language"][0] == "python"


def test_a_card_says_what_other_tools_do() -> None:
    text = harness("tasks", "humaneval").out
    assert "  default prompt   chat of models with a chat template, plain of models without\n" in text
    assert "  elsewhere        lm-eval: " in text
    assert "elsewhere" not in harness("tasks", "apps").out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--language", "jaav"), "no language 'jaav'. Did you mean 'java'?"),
        (("--tag", "repairs"), "no tag 'repairs'. Did you mean 'repair'?"),
        (("conala", "--tag", "repair"), "search the list: leave the name out"),
        (("conala", "--prompt", "--json"), "--json is of the list and of a task's card"),
    ],
)
def test_a_mistake_is_one_line(arguments: tuple[str, ...], complaint: str) -> None:
    assert complaint in harness("tasks", *arguments).complaint
