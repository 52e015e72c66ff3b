"""What happens to a query before it is run, as the official evaluators do it, and finding SQL in an answer.

Everything here is text to text. sqlparse reads the tokens where the official test-suite evaluator uses it,
so that the same queries come out.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from harness.schema import Completion, Problem, TableNames
from harness.text.extract import Reading, Wanted
from harness.text.sql import statements

_CURRENT_YEAR = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)
MAX_CHARS = 20_000  # characters; a longer query is not looked through for DISTINCT


def find_sql(problem: Problem, completion: Completion, read: Reading | None = None) -> str:
    """The SQL of an answer: one statement, found as harness/text/sql/statements.py says.

    What was recorded as a program or continuation is a prediction already and stays as it is. With `read`, the first
    statement of what that reads, or all where it reads all: what a system without post-processing would get.
    """
    del problem
    if completion.form != "output":
        return completion.text.strip()
    if read is None:
        return statements.find(completion.text)
    said = read(completion.text, Wanted(language="sql"))
    return said.strip() if said == completion.text else statements.first_statement(said)


@lru_cache(maxsize=4096)  # of several answers to one question the gold query is the same
def normalize_for_spider(sql: str) -> str:
    """The query that the official test-suite evaluator executes for a prediction or a gold query.

    Operators that a tokeniser pulled apart are joined, DISTINCT is taken out (its default), what follows the
    first statement is dropped, and the current year of MySQL becomes 2020.
    """
    for apart, joined in (("> =", ">="), ("< =", "<="), ("! =", "!=")):
        sql = sql.replace(apart, joined)
    return replace_current_year(strip_distinct(sql))


def replace_current_year(sql: str) -> str:
    """MySQL's current year as the number 2020, which is all the test-suite evaluator changes by itself."""
    return _CURRENT_YEAR.sub("2020", sql)


def fill_placeholders(prediction: str, tables: TableNames) -> str:
    """The official evaluators read the word `value`, a placeholder of systems that predict none, as 1.

    Not here where a column has that name: there the word is the column, and replacing it fails right queries.
    """
    if any("value" in columns for columns in tables.columns.values()):
        return prediction
    return prediction.replace(" value ", " 1 ")


def strip_distinct(sql: str) -> str:
    """The first statement without its DISTINCT tokens. Nothing is parsed where there is nothing to find."""
    body = sql.rstrip().removesuffix(";")
    if len(sql) > MAX_CHARS or (";" not in body and "distinct" not in body.lower()):
        return sql
    return "".join(token for token in _first_statement_tokens(sql) if token.lower() != "distinct")


def _first_statement_tokens(sql: str) -> Iterator[str]:
    from sqlparse.engine import FilterStack

    # Without grouping, which costs the most and moves no token.
    statement = next(iter(FilterStack().run(sql)), None)  # type: ignore[no-untyped-call]
    return (token.value for token in statement.flatten()) if statement is not None else iter(())
