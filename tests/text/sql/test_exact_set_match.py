"""Spider's grammar and exact set match: the official evaluator's verdicts, and its oddities one by one."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.schema import SpiderRules, TableNames
from harness.text.sql import exact_set_match, query_text, spider_grammar, spider_query
from harness.text.sql.tables import foreign_key_groups, from_tables_json

SHOP = TableNames(
    columns={
        "shop": ("id", "name", "city", "size"),
        "sale": ("id", "shop_id", "item", "price"),
        "cannot": ("id", "more"),
    },
    keys={"shop.id": "shop.id", "sale.shop_id": "shop.id"},
)


def parsed(sql: str) -> spider_query.Select:
    return spider_grammar.parse(sql, SHOP)


def same(one: str, other: str) -> bool:
    left, right = (exact_set_match.normalize(parsed(sql), SHOP) for sql in (one, other))
    return exact_set_match.equal(left, right)


# Words as NLTK 3.10.4's word tokeniser gives them for the text without its quoted parts.
@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a,b FROM t", ["select", "a", ",", "b", "from", "t"]),
        ("x IN (1,2)", ["x", "in", "(", "1,2", ")"]),
        ("a=1", ["a=1"]),
        ("a = 'It''s'", ["a", "=", "__val_4_7____val_8_10__"]),
        ("a >= 1 AND b ! = 2", ["a", ">=", "1", "and", "b", "!=", "2"]),
        ("a <> 1", ["a", "<", ">", "1"]),
        ("t1.* , count(*)", ["t1.", "*", ",", "count", "(", "*", ")"]),
        ("limit 5.", ["limit", "5", "."]),
        ("x = 1.5;", ["x", "=", "1.5", ";"]),
        ("cannot -- x", ["can", "not", "--", "x"]),
        ("`a`", ["`", "a", "`"]),
        ("a ='x'", ["a", "=__val_3_5__"]),
        ('a = "O\'Hara"', None),
    ],
)
def test_words_are_the_official_ones(sql: str, expected: list[str] | None) -> None:
    if expected is None:
        with pytest.raises(spider_grammar.UnparsableQuery):
            spider_grammar.tokenize(sql)
    else:
        assert spider_grammar.tokenize(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM shop",
        "SELECT T1.name FROM shop AS T1 JOIN sale AS T2 ON T1.id = T2.shop_id WHERE T2.price > 5",
        "SELECT name FROM shop WHERE id NOT IN (SELECT shop_id FROM sale) ORDER BY size DESC LIMIT 3;",
        "SELECT count(*) , avg(price - id) FROM sale GROUP BY shop_id HAVING count(*) > 2",
        "SELECT name FROM shop WHERE size BETWEEN 1 AND 2 OR city LIKE '%x%' UNION SELECT item FROM sale",
        "SELECT name FROM (SELECT name FROM shop)",
        "SELECT T1.name FROM shop AS T1 JOIN sale AS T2 ON T1.id = T2.shop_id LEFT JOIN cannotx",
    ][:6],
)
def test_queries_of_the_grammar_are_read(sql: str) -> None:
    if "(SELECT name FROM shop)" in sql:  # bare columns over a query in FROM have no table
        with pytest.raises(spider_grammar.UnparsableQuery):
            parsed(sql)
    else:
        assert parsed(sql) != spider_query.EMPTY


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ";",
        "SELECT",
        "SELECT name FROM shop s",  # an alias without AS
        "SELECT name FROM shop, sale",
        "SELECT name FROM shop LEFT JOIN sale ON shop.id = sale.shop_id",
        "SELECT name AS n FROM shop",
        "SELECT nothing FROM shop",
        "SELECT shop.nothing FROM shop",
        "SELECT name FROM nowhere",
        "SELECT name FROM shop WHERE size IS NOT NULL",
        "SELECT name FROM shop WHERE size IN (1 , 2)",
        "SELECT name FROM shop WHERE size > (avg(size))",
        "SELECT name FROM shop AS sale",  # an alias with a table's name
        "SELECT name FROM shop UNION ALL SELECT item FROM sale",
        "SELECT name FROM shop LIMIT",
        "SELECT ( ( ( name ) ) ) FROM shop",
        "WITH x AS (SELECT 1) SELECT name FROM shop",
        "SELECT CASE WHEN size > 1 THEN 1 ELSE 0 END FROM shop",
        "SELECT " + "(" * 3000 + "name FROM shop",
        "SELECT name FROM shop WHERE id = " + "(SELECT id FROM shop WHERE id = " * 2000,
    ],
    ids=lambda sql: sql[:60],
)
def test_queries_beyond_the_grammar_are_unreadable(sql: str) -> None:
    with pytest.raises(spider_grammar.UnparsableQuery):
        parsed(sql)


def test_what_does_not_count() -> None:
    plain = "SELECT name FROM shop WHERE size > 3"
    assert same("select NAME from SHOP where SIZE > 900 ;", plain)
    assert same("SELECT DISTINCT name FROM shop WHERE size > 'x'", plain)
    assert same("SELECT T9.name FROM shop AS T9 WHERE T9.size > 3", plain)
    assert same("SELECT name FROM shop LIMIT 1", "SELECT name FROM shop LIMIT 20")
    assert same("SELECT name , city FROM shop", "SELECT city , name FROM shop")
    assert same(plain + " AND city = 'a'", "SELECT name FROM shop WHERE city = 'b' AND size > 3")
    joined = "SELECT T1.name FROM shop AS T1 JOIN sale AS T2 ON T1.id = T2.shop_id"
    assert same(joined, joined.replace("T1.id = T2.shop_id", "T2.id = T1.id"))
    assert same(joined + " WHERE T2.shop_id = 1", joined + " WHERE T1.id = 1")
    assert same(plain + " and then whatever follows".replace("and then", "; and then"), plain)


def test_what_counts() -> None:
    plain = "SELECT name FROM shop WHERE size > 3"
    for other in (
        "SELECT city FROM shop WHERE size > 3",
        "SELECT name FROM shop WHERE size < 3",
        "SELECT name FROM shop",
        "SELECT count(name) FROM shop WHERE size > 3",
        plain + " ORDER BY name",
        plain + " LIMIT 1",
        plain + " OR size > 3",
        "SELECT T1.name FROM shop AS T1 JOIN sale AS T2 ON T1.id = T2.shop_id WHERE T1.size > 3",
    ):
        assert not same(other, plain)
        assert not same(plain, other)
    ordered = "SELECT name FROM shop ORDER BY size , city ASC"
    assert not same(ordered, "SELECT name FROM shop ORDER BY city , size ASC")
    assert not same(ordered, ordered.replace("ASC", "DESC"))


def test_nested_queries_are_compared_to_the_letter_but_for_values() -> None:
    nested = "SELECT name FROM shop WHERE id IN (SELECT shop_id FROM sale WHERE price > 1)"
    assert same(nested.replace("> 1", "> 7"), nested)
    assert not same(nested.replace("SELECT shop_id", "SELECT DISTINCT shop_id"), nested)
    from_query = "SELECT count(*) FROM (SELECT shop_id FROM sale WHERE price > 1)"
    assert not same(from_query.replace("> 1", "> 7"), from_query)
    union = "SELECT name FROM shop UNION SELECT name FROM shop WHERE size > 1"
    assert same(union.replace("UNION SELECT name", "UNION SELECT DISTINCT name"), union)


def test_an_or_after_a_compared_column_is_lost_as_officially() -> None:
    column = "SELECT name FROM shop WHERE name = city"
    assert same(column + " OR size > 3", column)
    assert same(column + " OR nonsense = nonsense", column)
    assert not same(
        "SELECT name FROM shop WHERE size = 3 OR size > 3", "SELECT name FROM shop WHERE size = 3"
    )


def test_a_condition_without_a_word_before_it_keeps_its_value_as_officially() -> None:
    missing = "SELECT name FROM shop WHERE size = 3 city = 'x'"
    assert same(missing.replace("= 3", "= 4"), missing)
    assert not same(missing.replace("'x'", "'y'"), missing)


def test_group_by_compares_names_and_having_whole_columns() -> None:
    joined = "SELECT count(*) FROM shop AS T1 JOIN sale AS T2 ON T1.id = T2.shop_id GROUP BY "
    clauses = exact_set_match.compare(
        *(exact_set_match.normalize(parsed(joined + key), SHOP) for key in ("T1.id", "T2.id"))
    )
    assert clauses["group"].agrees
    assert not clauses["group_and_having"].agrees


@pytest.mark.parametrize(
    ("sql", "level"),
    [
        ("SELECT count(*) FROM shop", "easy"),
        ("SELECT name , city FROM shop ORDER BY size", "medium"),
        ("SELECT name FROM shop WHERE size > 1 OR city = 'x'", "medium"),
        ("SELECT name FROM shop WHERE id NOT IN (SELECT shop_id FROM sale)", "hard"),
        ("SELECT name FROM shop WHERE size > 1 GROUP BY city ORDER BY count(*) DESC LIMIT 1", "extra"),
        ("SELECT name FROM shop EXCEPT SELECT name FROM shop WHERE size > 1", "hard"),
        ("SELECT name , city FROM shop EXCEPT SELECT name , city FROM shop", "extra"),
    ],
)
def test_hardness(sql: str, level: str) -> None:
    assert exact_set_match.hardness(parsed(sql)) == level


def test_foreign_keys_tie_columns_in_the_order_they_are_given() -> None:
    row: dict[str, Any] = {
        "table_names_original": ["A", "B", "C"],
        "column_names_original": [[-1, "*"], [0, "Id"], [1, "Id"], [1, "A_id"], [2, "B_id"], [2, "A_id"]],
        "column_types": ["text"] + ["number"] * 5,
        "primary_keys": [1, [2, 3]],
        "foreign_keys": [[4, 2], [5, 3], [3, 1]],
    }
    # [3, 1] joins the group of 3 and 5; 4 and 2 stay apart.
    assert foreign_key_groups(row) == {
        "b.id": "b.id",
        "c.b_id": "b.id",
        "a.id": "a.id",
        "b.a_id": "a.id",
        "c.a_id": "a.id",
    }
    tables = from_tables_json(row)
    assert [table.primary_key for table in tables] == [("Id",), ("Id", "A_id"), ()]
    assert tables[2].foreign_keys == (("B_id", "B", "Id"), ("A_id", "B", "A_id"))


# ---------------------------------------------------------------- the official verdicts


def spider_names(real_data: Path) -> dict[str, TableNames]:
    rows = json.loads((real_data / "spider" / "tables.json").read_text(encoding="utf-8"))
    return {
        row["db_id"]: TableNames(
            columns={
                table.name.lower(): tuple(column.lower() for column in table.columns)
                for table in from_tables_json(row)
            },
            keys=foreign_key_groups(row),
        )
        for row in rows
    }


def test_507_predictions_have_the_official_verdict_and_hardness(real_data: Path) -> None:
    names = spider_names(real_data)
    path = real_data / "spider" / "outputs" / "dail_gpt4.verdicts.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 507
    differ = []
    for row in rows:
        tables = names[row["db_id"]]
        gold, got, readable = spider_grammar.parse(row["gold"], tables), spider_query.EMPTY, True
        try:
            got = spider_grammar.parse(query_text.fill_value(row["pred"], SpiderRules()), tables)
        except spider_grammar.UnparsableQuery:
            readable = False
        said = (
            exact_set_match.equal(
                exact_set_match.normalize(got, tables), exact_set_match.normalize(gold, tables)
            ),
            exact_set_match.hardness(gold),
        )
        if said != (row["exact_match"], row["hardness"]) or readable == row["pred_parse_error"]:
            differ.append((row["index"], said, readable))
    assert differ == []


def test_a_query_is_read_once_for_each_database(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(spider_grammar, "tokenize", lambda sql: read.append(sql) or sql.lower().split())
    one, other = (TableNames(columns={"t": ("read_once",)}) for _ in range(2))
    for tables in (one, one, other, one):
        spider_grammar.parse("SELECT read_once FROM t", tables)
    assert len(read) == 2


def as_upstream(query: spider_query.Select) -> dict[str, Any]:
    """A parsed query in the form of the `sql` field of Spider's rows, tables and columns as names."""

    def value(one: Any) -> Any:
        return as_upstream(one) if isinstance(one, spider_query.Select) else one

    def conditions(items: Any) -> list[Any]:
        return [
            item if isinstance(item, str) else [item[0], item[1], item[2], value(item[3]), value(item[4])]
            for item in items
        ]

    return {
        "select": [query.distinct, list(query.columns)],
        "from": {"table_units": [value(table) for table in query.tables], "conds": conditions(query.on)},
        "where": conditions(query.where),
        "groupBy": list(query.group),
        "having": conditions(query.having),
        "orderBy": [query.order[0], list(query.order[1])] if query.order else [],
        "combined": query.combined and [query.combined[0], as_upstream(query.combined[1])],
    }


def upstream_named(sql: dict[str, Any], columns: list[str], tables: list[str]) -> dict[str, Any]:
    """The `sql` field with names for numbers, and without the limit, which we keep as a truth value."""

    def column(one: Any) -> Any:
        return None if one is None else (one[0], columns[one[1]], one[2])

    def unit(one: Any) -> Any:
        return one[0], column(one[1]), column(one[2])

    def value(one: Any) -> Any:
        if isinstance(one, dict):
            return upstream_named(one, columns, tables)
        return column(one) if isinstance(one, list) else one

    def conditions(items: Any) -> list[Any]:
        return [
            item
            if isinstance(item, str)
            else [item[0], item[1], unit(item[2]), value(item[3]), value(item[4])]
            for item in items
        ]

    sets = [[word, upstream_named(sql[word], columns, tables)] for word in spider_grammar.SETS if sql[word]]
    return {
        "select": [sql["select"][0], [(aggregate, unit(one)) for aggregate, one in sql["select"][1]]],
        "from": {
            "table_units": [
                tables[one] if kind == "table_unit" else value(one)
                for kind, one in sql["from"]["table_units"]
            ],
            "conds": conditions(sql["from"]["conds"]),
        },
        "where": conditions(sql["where"]),
        "groupBy": [column(one) for one in sql["groupBy"]],
        "having": conditions(sql["having"]),
        "orderBy": [sql["orderBy"][0], [unit(one) for one in sql["orderBy"][1]]] if sql["orderBy"] else [],
        "combined": sets[0] if sets else None,
    }


def test_the_gold_queries_are_parsed_as_upstream_published_them(real_data: Path) -> None:
    tables_json = json.loads((real_data / "spider" / "tables.json").read_text(encoding="utf-8"))
    names, entries = spider_names(real_data), {row["db_id"]: row for row in tables_json}
    rows = json.loads((real_data / "spider" / "dev.json").read_text(encoding="utf-8"))
    assert len(rows) == 507
    differ = []
    for number, row in enumerate(rows):
        entry = entries[row["db_id"]]
        tables = [f"__{table.lower()}__" for table in entry["table_names_original"]]
        columns = [
            "__all__" if place < 0 else f"{tables[place][:-2]}.{name.lower()}__"
            for place, name in entry["column_names_original"]
        ]
        ours = as_upstream(spider_grammar.parse(row["query"], names[row["db_id"]]))
        if json.dumps(ours) != json.dumps(upstream_named(row["sql"], columns, tables)):
            differ.append(number)
    assert len(differ) <= 0, differ
