"""What happens to a query before it is run, as the official evaluators do it, and finding SQL in an answer.

Everything here is text to text. sqlparse reads the tokens where the official test-suite evaluator uses it,
so that the same queries come out.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from harness.schema import Completion, Problem, SpiderRules, ValueSlots
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
def normalize_for_spider(sql: str, keep_distinct: bool = False) -> str:
    """The query that the official test-suite evaluator executes for a prediction or a gold query.

    Operators that a tokeniser pulled apart are joined, DISTINCT is taken out (its default) and with it what follows
    the first statement, and the current year of MySQL becomes 2020.
    """
    return replace_current_year(_rewritten(sql, keep_distinct))


def _rewritten(sql: str, keep_distinct: bool) -> str:
    for apart, joined in (("> =", ">="), ("< =", "<="), ("! =", "!=")):
        sql = sql.replace(apart, joined)
    return sql if keep_distinct else strip_distinct(sql)


def replace_current_year(sql: str) -> str:
    """MySQL's current year as the number 2020, which is all the test-suite evaluator changes by itself."""
    return _CURRENT_YEAR.sub("2020", sql)


def fill_value(prediction: str, rules: SpiderRules) -> str:
    """The prediction with each `value`, the placeholder of systems that predict none, read as 1.

    To the letter as the official evaluator does it (evaluation.py, test-suite-sql-eval): at the end, in quotes and
    inside words as well. There a right query over a column called value fails: `rules` may say no.
    """
    return prediction.replace("value", "1") if rules.fill_value else prediction


_SLOT = "valuerare"  # what the official evaluator calls one
_DECIMAL, _INTEGER = re.compile(r"[-+]?\d*\.\d+"), re.compile(r"[^tT]\d+")


def value_slots(prediction: str, gold: str, keep_distinct: bool) -> ValueSlots | None:
    """The prediction's values as slots for any of the gold query's; None where there is nothing to put in.

    What is a value is as in the official evaluator (parse.py): texts in quotes of both kinds, numbers that are a word
    by themselves, those of LIMIT too. Its oddities stay: other words become lower case, and a word of one letter
    and digits (not t1) is a number.
    """
    words, _ = _without_values(_rewritten(prediction, keep_distinct))
    _, values = _without_values(_rewritten(gold, keep_distinct))
    line = replace_current_year(" ".join("\0" if word == _SLOT else word for word in words))
    pieces = tuple(line.split("\0"))
    return (
        ValueSlots(pieces=pieces, values=tuple(sorted(set(values)))) if values or len(pieces) == 1 else None
    )


def _without_values(sql: str) -> tuple[list[str], list[str]]:
    """The query's words in lower case with a slot for each value, and the values as they are written."""
    from sqlparse import tokens

    found = [
        token
        for token in _first_statement(sql.strip().replace(";", "").replace("\t", ""))
        if token[1].strip()
    ]
    line = " ".join(text for _, text in found)
    values = [text for kind, text in found if kind in (tokens.String.Single, tokens.String.Symbol)]
    for text in values:
        line = line.replace(text, _SLOT)
    for numbers in (_DECIMAL, _INTEGER):
        known = {text.strip() for text in numbers.findall(line)}
        words = line.split()
        values += [word for word in words if word in known]
        line = " ".join(_SLOT if word in known else word for word in words)
    return line.lower().split(), values


def strip_distinct(sql: str) -> str:
    """The first statement without its DISTINCT tokens. Nothing is parsed where there is nothing to find."""
    body = sql.rstrip().removesuffix(";")
    if len(sql) > MAX_CHARS or (";" not in body and "distinct" not in body.lower()):
        return sql
    return "".join(text for _, text in _first_statement(sql) if text.lower() != "distinct")


def _first_statement(sql: str) -> Iterator[tuple[object, str]]:
    """The kind and text of each token of the first statement, blanks included."""
    from sqlparse.engine import FilterStack

    # Without grouping, which costs the most and moves no token.
    statement = next(iter(FilterStack().run(sql)), None)  # type: ignore[no-untyped-call]
    return (
        ((token.ttype, token.value) for token in statement.flatten()) if statement is not None else iter(())
    )
