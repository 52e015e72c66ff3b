"""The query in what a model says: where it begins, where it ends, and which one it is.

A query begins at SELECT or WITH x AS ( on a line of its own, or behind a colon, a backtick, a tag, a prompt sign. A
sentence that begins with "Select" is none. Of several code blocks the last that holds a whole query counts, as for
programs; in a text without blocks the first, because a model that only goes on asks and answers further questions.
Pure, and linear in the text.
"""

import json
import re

from harness.text.markdown import Block, blocks, outside

_WITH = r"with\s+(?:recursive\s+)?[\w\"`\[\]]+\s*(?:\([^()]*+\)\s*)?as\s*(?:not\s+)?(?:materialized\s*)?\("
_BEGINS = re.compile(
    r"(?:^[ \t*]*+|[:`>*][ \t*]{0,8})(?:(?:sqlite3?|mysql|sql|query|answer)\b[ \t*]{0,8}[:>]?[ \t*]{0,8})?"
    r"(?P<ticks>`{0,3})[ \t]*+"
    rf"(?P<query>select\b|{_WITH})",
    re.IGNORECASE | re.MULTILINE,
)
_PIECES = re.compile(
    r"'(?:''|[^'])*+'?|\"(?:\"\"|[^\"])*+\"?|`[^`]*+`?|--[^\n]*+|/\*.*?(?:\*/|\Z)|[^'\"`;/-]++|.", re.DOTALL
)
_COMMENTS = re.compile(r"--[^\n]*+|/\*.*?(?:\*/|\Z)", re.DOTALL)
_FROM = re.compile(r"\bfrom\b", re.IGNORECASE)
_SHOUTED = re.compile(r"(?<![\w(])SELECT\b")
# After these the statement goes on with the next SELECT.
_JOINS = re.compile(
    r"(?:[(,=<>+*/-]|\b(?:union|all|intersect|except|minus|as|exists|in|from|join|any|not))\s*\Z",
    re.IGNORECASE,
)
_GRAMMAR = """
from where join inner left right full outer cross natural on using and or not in exists between like glob is null as
distinct all any group having order by limit offset asc desc over partition window union intersect except minus select
with values case when then else end sum avg min max count
"""
_SQL_WORDS = frozenset(_GRAMMAR.split())
_OTHERS = frozenset({"create", "insert", "drop", "pragma", "update", "delete", "alter"})
_LABEL = re.compile(r"[A-Z]\w*(?: \w+){0,3}:(?:\s|\Z)")  # "Explanation: ..."
_GOES_ON = re.compile(rf"(?:[,(=<>+*/|-]|\b(?:{'|'.join(sorted(_SQL_WORDS))}))\Z", re.IGNORECASE)
_FIRST_WORD = re.compile(r"[^\W\d_]++")
_WORDS = re.compile(r"(?<!\w)[^\W\d_]{2,}+[,;:.]?+[ \t]++[`'\"(*]*+[^\W\d_]")
_HEADLESS = re.compile(
    r"\s*+(?![( ]*+select\b)(?:distinct\s++)?+[\w.\"`*(),\t ]+?\s(?=from\s++[\w\"`\[(])", re.IGNORECASE
)
_KEYS = ("sql", "query", "answer")


def find(text: str) -> str:
    """The query of an answer, one statement; the first statement of the text where no query is found."""
    text = text.removeprefix("\ufeff")
    found = [block for block in blocks(text) if block.code.strip()]
    if found:
        return _of_blocks(text, found)
    head = _HEADLESS.match(text)
    goes_on = head and text[:1].isspace() and not _WORDS.search(head.group())
    query = None if goes_on else _in_json(text) or _query(text)
    if query is None and head:
        query = first_statement(_without_prose(f"SELECT {text.lstrip()}"))  # the prompt ends in SELECT
    return first_statement(text) if query is None else query


def _of_blocks(text: str, found: list[Block]) -> str:
    queries = [
        query
        for block in found
        if block.language in {"sql", ""} and (query := _query(block.code)) is not None
    ]
    whole = [query for query in queries if _FROM.search(query)]
    if queries:
        return (whole or queries)[-1]
    for block in found:
        if (query := _in_json(block.code)) is not None:
            return query
    query = _query(outside(text, found))
    return first_statement(found[0].code) if query is None else query


def _in_json(text: str) -> str | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    values = [said[key] for key in _KEYS if isinstance(said.get(key), str)]
    return first_statement(values[0]) if values else None


def _query(text: str) -> str | None:
    """The first whole query of a text, the first one that begins where none is whole; None without any."""
    starts = list(_BEGINS.finditer(text))
    if not starts and (shouted := _SHOUTED.search(text)) and _FROM.search(text, shouted.end()):
        return _statement(_without_prose(text[shouted.start() :]))
    found: list[str] = []
    number = 0
    while number < len(starts):
        begin, following = starts[number], number + 1
        depth, common_table = 0, begin["query"].lower() != "select"
        while following < len(starts):
            part = text[starts[following - 1].start("query") : starts[following].start()]
            depth += part.count("(") - part.count(")")
            said = _COMMENTS.sub("", part)
            if ";" in said or not (
                depth > 0 or _JOINS.search(said) or (common_table and said.rstrip()[-1:] == ")")
            ):
                break
            following += 1
        end = starts[following].start() if following < len(starts) else len(text)
        spoken = _without_prose(text[begin.start("query") : end].strip())
        query = _in_ticks(spoken, begin["ticks"], text[begin.start() : begin.start() + 1]) or _statement(
            spoken
        )
        if _FROM.search(query) and not spoken.rstrip().endswith((".", ":", "!", "?")):
            return query
        found.append(query)
        number = following
    return next((query for query in found if _FROM.search(query)), found[0]) if found else None


def _in_ticks(spoken: str, ticks: str, before: str) -> str | None:
    """The query of code in a line, which ends at its backticks."""
    ticks = ticks or ("`" if before == "`" else "")
    inside, closed, _ = spoken.partition(ticks) if ticks else ("", "", "")
    return first_statement(inside) if closed and _FROM.search(inside) else None


def _statement(spoken: str) -> str:
    query = first_statement(spoken)
    query = re.split(r"</|\[/SQL\]", query, maxsplit=1)[0].rstrip()
    query = query[:-1] if query.endswith(".") and not query[-2:-1].isdigit() else query
    while (last := query[-1:]) and last in "`\"'" and query.count(last) % 2:
        query = query.rstrip(last).rstrip()  # it stood in quotes
    return query.removesuffix("**").rstrip()


def _without_prose(spoken: str) -> str:
    """The query without what is below it and none of it."""
    lines = spoken.split("\n")
    begun, depth, last = False, 0, ""
    for number, line in enumerate(lines):
        said = line.strip()
        if number and said:
            apart = begun and depth <= 0 and not lines[number - 1].strip() and not _GOES_ON.search(last)
            if _ends_query(said, apart):
                return "\n".join(lines[:number])
        begun = begun or _FROM.search(line) is not None
        depth += line.count("(") - line.count(")")
        last = said or last
    return spoken


def _ends_query(said: str, apart: bool) -> bool:
    """Whether a line is no more of the query above it; `apart`: the query may have ended, and a blank line follows."""
    if said.startswith(("```", "**", "#")) or _LABEL.match(said) or set(said) == {"-"}:
        return True
    found = _FIRST_WORD.match(said)
    word = found.group().lower() if found else ""
    if word in _SQL_WORDS or said.startswith(("--", "(", ")")):
        return said.endswith(":")
    return apart or word in _OTHERS or (said[-1] in ".:!?" and len(said.split()) > 2 and said[0].isupper())


def first_statement(text: str) -> str:
    """Up to the first semicolon that is outside quotes and comments, without it."""
    kept = []
    for piece in _PIECES.finditer(text):
        if piece.group() == ";":
            break
        kept.append(piece.group())
    return "".join(kept).strip()
