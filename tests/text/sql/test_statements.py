"""The query in what a model says: around it sentences, blocks, marks, other statements."""

import pytest

from harness.text.sql.statements import find

Q = "SELECT a FROM b WHERE c < 6"
OTHER = "SELECT count(*) FROM d"


@pytest.mark.parametrize(
    "said",
    [
        f"Select all names from the table b.\n{Q}",
        f"Select the names from b:\n{Q}",
        f"With this you get them: {Q}",
        f"{Q}\n\nThis lists the names.",
        f"{Q}\nThis lists the names.",
        f"{Q};\n\nNote: the others are left out.",
        f"{Q}\nExplanation: it lists the names",
        f"SQLQuery: {Q}\nSQLResult: cup\nAnswer: a cup",
        f"### SQL\n{Q}\n### Notes\nNone",
        f"{Q}\n\na\n-\ncup",
        f"{Q}\n\nOr with a join:\n\n{OTHER}",
        f'The query is "{Q}".',
        f'sql = """\n{Q}\n"""',
        f"**{Q}**",
        f"`{Q}`",
        f"Run `{Q};` and you see them.",
        f"sqlite> {Q};",
        f"**SQL:** {Q}",
        f"<sql>{Q}</sql>",
        f"[SQL]{Q}[/SQL]",
        f"> {Q}",
        f"PRAGMA table_info(b);\n{Q};",
        f"```sql\nPRAGMA table_info(b);\n```\n```sql\n{Q};\n```",
        f"```\na|b\n1|2\n```\n```sql\n{Q}\n```",
        f"```sql\nSELECT * FROM b LIMIT 5;\n```\nSo:\n```sql\n{Q}\n```\nwhich gives\n```\n5\n```",
        f'{{"sql": "{Q}"}}',
        f'```json\n{{"sql": "{Q}"}}\n```',
        f"\ufeff{Q}",
        # A base model goes on with the next question, or from a prompt that ends in SELECT.
        f"{Q};\n{OTHER};",
        f"{Q}\n\n/* How many? */\n{OTHER}",
        f"{Q}\n\nCREATE TABLE d (a INT);\n\n-- How many?\n{OTHER}",
        f"{Q}\nQ: How many are there?\n{OTHER}",
        f" a FROM b WHERE c < 6;\n\n-- How many?\n{OTHER}",
        "a FROM b WHERE c < 6",
    ],
)
def test_the_query_is_found_whatever_stands_around_it(said: str) -> None:
    assert find(said).removesuffix("/* How many? */").rstrip() == Q


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a FROM (\nSELECT * FROM b\n) WHERE c < 6",
        "SELECT a FROM b\n\nUNION\n\nSELECT a FROM d",
        "WITH x AS (SELECT a FROM b) SELECT a FROM x",
        "WITH RECURSIVE n(i) AS (\nSELECT 1\nUNION ALL\nSELECT i + 1 FROM n WHERE i < 5)\nSELECT i FROM n",
        "SELECT a\n\nFROM b\n\nWHERE c = 'x; y'",
        "-- names\nSELECT a FROM b",
        "SELECT a\n,\n\nd\n\nFROM b\nWHERE c =\n\n'x'\n\nAND (d\n\n> 1)",
        'SELECT "a" FROM b WHERE c = "x"',
        "select a from b where d in (select d from e) -- all",
        "(SELECT a FROM b)",
        "DROP TABLE b",
    ],
)
def test_a_query_of_any_shape_stays_whole(query: str) -> None:
    assert find(query) in {query, query.removeprefix("-- names\n")}


@pytest.mark.parametrize(
    "unit", ["SELECT (", "with a as (", "`select ", "Select it.\n", "/* ", "-- \n", "a from "]
)
def test_a_long_text_of_anything_is_read_in_no_time(unit: str) -> None:
    text = (unit * (200_000 // len(unit) + 1))[:200_000]
    found = find(text)
    assert found.removeprefix("SELECT ") in text  # a part of it; a list of columns goes on from the prompt
