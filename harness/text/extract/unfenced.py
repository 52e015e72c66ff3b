"""Code that stands in a text without a fence: as it is, between other marks, in a session, among sentences.

What parses stays as it is, to the letter; so does what cannot be read for certain. That way nothing changes for models
that only go on from a prompt.
"""

import html
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice

from harness.text.extract import python_code
from harness.text.extract.wanted import Wanted
from harness.text.markdown import Block

# Marks of benchmarks and fine-tunes: [PYTHON] ... [/PYTHON], [BEGIN] ... [DONE]. No line of a program is one of them.
_BRACKETS = re.compile(
    r"^[ \t]*+\[(?P<open>PYTHON|CODE|BEGIN|ANSWER|SOLUTION|PROGRAM)\]"
    r"|(?:^[ \t]*+)?\[(?P<close>/PYTHON|/CODE|/BEGIN|/ANSWER|/SOLUTION|/PROGRAM)\]|^[ \t]*+\[(?:DONE|END)\][ \t\r]*+$",
    re.MULTILINE,
)
_TAGS = re.compile(
    r"(?:^[ \t]*+|(?<=[>:]) ?)<(?P<open>pre|code|python|answer|solution|program)(?:[ \t][^<>\n]{0,80}+)?>"
    r"|</(?P<close>pre|code|python|answer|solution|program)>",
    re.MULTILINE | re.IGNORECASE,
)
_KEYWORD = re.compile(
    r"(?:and|as|assert|async|await|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is"
    r"|lambda|nonlocal|not|or|pass|print|raise|return|try|while|with|yield)\b(?!,)"
)
_ASSIGNED = re.compile(r"[\w.]++(?:\[[^\]]*+\])?+[ \t]*+(?:[-+*/%|&^]|//|\*\*)?=(?!=)|@\w")
_WORDS = re.compile(r"(?<!\w)[^\W\d_]{2,}+[,;:.]?+[ \t]++[`'\"(*]*+[^\W\d_]")
_PUNCTUATION = re.compile(r"[;{}()=<>\[\]\\]")
_LONE_WORD = re.compile(
    r"\*{0,2}(?!(?:else|try|finally)\b)[^\W\d_]\w*+\*{0,2}[!.?:…]\*{0,2}"
)  # "Sure!", "**Answer:**"
_IN_TICKS = re.compile(r"`[^`]*+`")
_MOST_ENDS = 20  # places at which code among sentences may end, each of which costs a parse
_RULE = re.compile(r"\*\*|[-=*_]{3,}+$")


def marked(text: str, wanted: Wanted) -> list[Block]:
    """The code between marks other than fences; none where the text is code as it stands."""
    found = _between(text, _BRACKETS)
    if found or (wanted.language == "python" and stands(text, wanted)):
        return found
    return _between(text, _TAGS)


def _between(text: str, marks: re.Pattern[str]) -> list[Block]:
    found: list[Block] = []
    start, word, last = -1, "", -1
    for mark in marks.finditer(text):
        opens = mark["open"]
        if opens and (start < 0 or (start == last and not text[start : mark.start()].strip())):
            start, word = mark.end(), opens.lower()
        elif not opens and start >= 0:
            found.append(_block(text, start, mark.start(), word, closed=True))
            start = -1
            if not mark["close"]:
                return found  # a base model goes on with the next question
        elif not opens and not found and text[: mark.start()].strip():
            found.append(_block(text, 0, mark.start(), "", closed=True, opened=False))
            if not mark["close"]:
                return found
        last = mark.end()
    if start >= 0 and text[start:].strip():
        found.append(_block(text, start, len(text), word, closed=False))
    return found


def _block(text: str, start: int, end: int, word: str, closed: bool, opened: bool = True) -> Block:
    code = text[start:end]
    if word in {"code", "pre"} and "&" in code and "<" not in code:
        code = html.unescape(code)
    return Block(word, re.sub(r"\A[ \t\r]*+\n", "", code), start, end, start, closed, opened)


def read(text: str, wanted: Wanted) -> str:
    """The code of a text without blocks; the text itself where nothing else is certain."""
    if wanted.language != "python":
        trimmed = without_prose(text, _is_sentence)
        return trimmed if wanted.fits(trimmed, None) else text
    if stands(text, wanted) or len(text) > python_code.MAX_REPAIRED_CHARS:
        return text
    trimmed = without_prose(text, is_prose)
    sessions = map(python_code.strip_session_prompts, (text, trimmed))
    for found in (_unquoted(text), *sessions, trimmed, *map(python_code.dedent, (text, trimmed))):
        if found != text and (_acceptable(found, wanted) or wanted.continues(found)):
            return found
    if wanted.prompt and (moved := python_code.restore_first_blank(wanted.prompt, text)) != text:
        return moved
    for found in (*_up_to_prose(trimmed), _between_prose(trimmed)):
        if wanted.is_answer(found, python_code.parse(found)) or wanted.continues(found):
            return found
    return text


def stands(text: str, wanted: Wanted) -> bool:
    """Whether the text is code to the letter, by itself or below the prompt."""
    for program in (text, f"{wanted.prompt}{text}") if wanted.prompt else (text,):
        tree = python_code.parse(program)
        if tree and not python_code.has_stray_return(tree):
            return True
    return False


def _acceptable(code: str, wanted: Wanted) -> bool:
    tree = python_code.parse(code)
    if tree is None or wanted.is_answer(code, tree):
        return tree is not None
    return not wanted.name and python_code.does_something(tree)


def _unquoted(text: str) -> str:
    """The text without the quote marks that all of its lines have."""
    lines = text.splitlines(keepends=True)
    if not all(line.startswith(">") and not line.startswith(">>>") for line in lines if line.strip()):
        return text
    return "".join(line[1:].removeprefix(" ") for line in lines)


# ---------------------------------------------------------------- sentences


def without_prose(text: str, is_prose: Callable[[str], bool]) -> str:
    """The text without the lines of prose that it begins and ends with."""
    lines = _lines(text)
    first, last = 0, len(lines)
    for number, line in enumerate(lines):
        if is_prose(line):
            first = number + 1
        elif line.strip():
            break
    for number in range(len(lines) - 1, first - 1, -1):
        if is_prose(lines[number]):
            last = number
        elif lines[number].strip():
            break
    return "".join(lines[first:last]) if first < last else text


def _up_to_prose(text: str) -> Iterator[str]:
    """The text up to each line that may be no more code: a string holds such lines too."""
    lines = _lines(text)
    ends = (number for number, line in enumerate(lines) if number and _ends_code(line))
    for end in islice(ends, _MOST_ENDS):
        yield "".join(lines[:end])


def _ends_code(line: str) -> bool:
    return line.startswith(">>>") or is_prose(line)


def _between_prose(text: str) -> str:
    return "".join(line for line in _lines(text) if not is_prose(line))


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*+\n|[^\n]++", text)


@lru_cache(maxsize=2000)  # lines of one text are asked about again and again
def is_prose(line: str) -> bool:
    """Whether a line at the margin is words to people and no Python."""
    said = line.strip()
    if line[0] in " \t" or not said or said[0] in "#@\"')]}" or _KEYWORD.match(said):
        return False
    if python_code.is_typed(said):
        return False
    if _RULE.match(said) or _LONE_WORD.fullmatch(said):
        return True
    words = _IN_TICKS.sub("", said)
    if _ASSIGNED.match(said) or not (_WORDS.search(words) or not said.isascii()):
        return False
    if _PUNCTUATION.search(words) and not (said[0].isupper() and said[-1] in ".:!?…)"):
        return False
    return python_code.parse(said) is None


def _is_sentence(line: str) -> bool:
    """The same for code in a language that is not parsed."""
    said = line.strip()
    if line[0] in " \t" or not said or said.startswith(("//", "/*", "*", "#")):
        return False
    if said.startswith("**") or _LONE_WORD.fullmatch(said):
        return True
    return bool(_WORDS.search(said)) and not _PUNCTUATION.search(said) and said[-1] in ".:!?…"
