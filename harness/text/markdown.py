"""The code blocks of a model's Markdown: read as CommonMark has them where models do, else as they are meant.

A block in a list item or a quote is taken out of it. Fences inside a docstring are text. A block that was never closed
ends where the next one names its language, or with the text. The first block may have been opened by the prompt, and
a fence may stand behind a tag or a few words. Pure, and linear in the text.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from harness.text.languages import language_of

# Possessive quantifiers (*+) keep every pattern linear on any text.
_TAG = r"\[/?[A-Z_]{1,20}+\]|</?[\w|｜:▁-]{1,40}+>"  # [/INST], <|assistant|>, </think>
# Before the fence: quote marks, list markers, tags. Behind it: the language, attributes. No backtick follows on the
# line, for backticks that open and close on one line are code in a line.
_FENCE = re.compile(
    rf"^(?P<before>(?:[ \t]*+(?:>|[-*+](?=[ \t])|\d{{1,3}}+[.)](?=[ \t])|{_TAG}))*+[ \t]*+)"
    r"(?P<marks>`{3,}+|~{3,}+)[ \t]*+\{?+\.?+(?P<word>[\w+#.-]*+)(?P<rest>[^\n`]*+)$",
    re.MULTILINE,
)
_BEHIND_WORDS = re.compile(
    r"^(?P<before>[^\s`~][^`~\n]{0,300}+)(?P<marks>`{3,}+|~{3,}+)(?P<word>\w[\w+#-]*+)(?P<rest>)[ \t\r]*+$",
    re.MULTILINE,
)
_ONE_LINE = re.compile(r"^[ \t]*+```(?P<inside>[^`\n]++)```\s*?$", re.MULTILINE)
# Code that stands on the fence's own line.
_CODE = re.compile(
    r"(?:def|class|import|from|return|async|const|let|function|public|fn|func|#include|select|with)\b\s*\S",
    re.I,
)
_STRING = re.compile(
    r'"""|\'\'\'|"(?:[^"\\\n]|\\.)*+"?+|\'(?:[^\'\\\n]|\\.)*+\'?+|#[^\n]*+'
)  # what a quote may begin in Python, and a comment
_LONGEST_DOCSTRING = 20_000  # characters in which the end of a docstring is looked for
_PYTHON = {"python", ""}


@dataclass(frozen=True, slots=True)
class Fence:
    """A line that opens or closes a block. `code` is where the block begins if it opens one; `quotes` and `indent` say
    how deep it stands; `alone`: nothing but these stands before it."""

    start: int
    end: int
    code: int
    marks: str
    word: str
    quotes: int
    indent: int
    alone: bool
    inside: str | None = None  # the code of a block that closes on the same line

    @property
    def language(self) -> str:
        return language_of(self.word)


@dataclass(frozen=True, slots=True)
class Block:
    """`code` without the indentation and quote marks of what the block stands in; text[start:end] is as it stood there.

    `word` is what the fence names. `opened` is false for a block that the prompt opened. `line` is where the line
    that opens it begins.
    """

    word: str
    code: str
    start: int
    end: int
    line: int = 0
    closed: bool = True
    opened: bool = True

    @property
    def language(self) -> str:
        return language_of(self.word)


def normalize_line_ends(text: str) -> str:
    """The text, as long as it was, with lines that end in "\\n"; only one without any has others made into these."""
    return text if "\n" in text else text.replace("\r", "\n")


def fences(text: str) -> list[Fence]:
    """Every line that may open or close a block, in order."""
    found = {match.start(): _fence(text, match) for match in _FENCE.finditer(text)}
    for match in _BEHIND_WORDS.finditer(text):
        if match.start() not in found and match["before"].rstrip().endswith((":", "]", ">", "**")):
            fence = _fence(text, match)
            if fence.language not in {"", "data"}:
                found[match.start()] = fence
    for match in _ONE_LINE.finditer(text):
        word, _, rest = match["inside"].strip().partition(" ")
        inside, word = (rest, word) if rest and language_of(word) else (match["inside"], "")
        at = match.end("inside") - len(inside)
        found[match.start()] = Fence(match.start(), match.end(), at, "", word, 0, 0, True, inside)
    return [found[start] for start in sorted(found)]


def _fence(text: str, match: re.Match[str]) -> Fence:
    before, word, code = match["before"], match["word"], match.end() + 1
    quoted = before[: len(before) - len(before.lstrip(" \t>"))]
    indent = before[quoted.rfind(">") + 1 :]
    if indent.strip(" \t-*+.)0123456789"):
        indent = ""  # a tag or words: the block stands at the margin
    if _CODE.match(text, match.start("word"), match.end()):
        word, code = "", match.start("word")
    elif (rest := len(match["rest"]) - len(match["rest"].lstrip())) and _CODE.match(
        text, match.start("rest") + rest, match.end()
    ):
        code = match.start("rest") + rest
    return Fence(
        start=match.start(),
        end=match.end(),
        code=min(code, len(text)),
        marks=match["marks"],
        word=word,
        quotes=quoted.count(">"),
        indent=len(indent.expandtabs(4)),
        alone=quoted == before,
    )


def blocks(text: str) -> list[Block]:
    """The text's code blocks in order, empty ones too."""
    flat = normalize_line_ends(text)
    lines = fences(flat)
    found: list[Block] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.inside is not None:
            found.append(Block(line.word, line.inside, line.code, line.code + len(line.inside), line.start))
        elif line.language == "markdown" or _holds_a_block(flat, lines, at):
            pass  # the whole answer in a block: its own blocks count
        elif not found and _closes_the_prompts(flat, lines, at):
            found.append(Block("", text[: line.start], 0, line.start, opened=False))
            if at + 1 == len(lines) and text[line.end :].strip():
                found.append(_block(text, line, len(text), closed=False))
        else:
            until, end, closed = _end(flat, lines, at)
            block = _block(text, line, end, closed)
            if block.code.strip() or closed or until == len(lines):  # a fence said twice opens one block
                found.append(block)
            at = until
            continue
        at += 1
    return found


def outside(text: str, found: Sequence[Block]) -> str:
    """The text without these blocks of its own and their fences."""
    parts, at = list[str](), 0
    for block in found:
        parts.append(text[at : block.line])
        at = block.end
        if block.closed:
            at = text.find("\n", at) + 1 or len(text)
    return "".join([*parts, text[at:]])


def _holds_a_block(text: str, lines: Sequence[Fence], at: int) -> bool:
    """Whether a fence that names no language is followed by nothing but another that does."""
    if (
        lines[at].language not in {"", "data"}
        or at + 1 == len(lines)
        or lines[at].marks == lines[at + 1].marks
    ):
        return False
    return bool(lines[at + 1].language) and not text[lines[at].end : lines[at + 1].start].strip()


def _closes_the_prompts(text: str, lines: Sequence[Fence], at: int) -> bool:
    """Whether the first fence closes a block that the prompt opened: a bare one does when code stands before it and
    no fence that closes follows, because the next one names a language or all of them are bare and of odd number."""
    line = lines[at]
    if at or line.word or not line.alone or not text[: line.start].strip():
        return False
    later = [each for each in lines[1:3] if each.marks.startswith(line.marks)]
    if not later or later[0].word:
        return True
    return len(lines) == 3 and not any(each.word for each in lines)


def _end(text: str, lines: Sequence[Fence], at: int) -> tuple[int, int, bool]:
    """Where the block that `lines[at]` opens ends: the line to go on at, the offset, whether it is closed there."""
    opening = lines[at]
    strings = _Strings(text, opening.code) if opening.language in _PYTHON else None
    skip = 0
    for number in range(at + 1, len(lines)):
        line = lines[number]
        if line.inside is not None or line.start < skip or line.marks[0] != opening.marks[0]:
            continue
        if line.quotes != opening.quotes or (line.alone and line.indent > opening.indent + 3):
            continue
        if strings and (end := strings.end_around(line.start)) and _in_docstring(lines, number, end):
            skip = end
        elif not line.word:
            if line.alone and len(line.marks) >= len(opening.marks):
                return number + 1, line.start, True
        elif line.language and len(line.marks) >= len(opening.marks):
            return number, line.start, False
    return len(lines), len(text), False


def _in_docstring(lines: Sequence[Fence], at: int, end: int) -> bool:
    """Whether the fences up to the end of a string belong to it: they come in pairs, or one closes the block below it.
    A block that was closed with its string still open is followed by the opening of another."""
    until = bisect_left(lines, end, key=lambda line: line.start)
    if (until - at) % 2:
        return until - at == 1 and until < len(lines) and not lines[until].word
    return bool(lines[at].word) or not lines[at + 1].word


class _Strings:
    """The triple-quoted strings of Python code, found as far as they are asked for."""

    def __init__(self, text: str, start: int) -> None:
        self.text, self.at = text, start

    def end_around(self, place: int) -> int:
        """Where the string around `place` ends; 0 where none is. Places have to grow from call to call."""
        while self.at < place:
            match = _STRING.search(self.text, self.at, place)
            if match is None:
                self.at = place
            elif match.group() not in {'"""', "'''"}:
                self.at = match.end()
            else:
                end = self.text.find(match.group(), match.end(), match.end() + _LONGEST_DOCSTRING)
                if end >= place:
                    return end + 3
                self.at = match.end() if end < 0 else end + 3
        return 0


def _block(text: str, opening: Fence, end: int, closed: bool) -> Block:
    start = min(opening.code, end)
    raw = text[start:end]
    code = _unquoted(raw, opening.quotes) if opening.quotes else raw
    return Block(opening.word, _dedented(code, opening.indent), start, end, opening.start, closed)


def _unquoted(code: str, level: int) -> str:
    return re.sub(rf"^(?:[ \t]*+>[ ]?){{1,{level}}}", "", code, flags=re.MULTILINE)


def _dedented(code: str, indent: int) -> str:
    """The code moved left with its fence, as far as all its lines go."""
    if not indent:
        return code
    shared = min((len(line) - len(line.lstrip(" ")) for line in code.split("\n") if line.strip()), default=0)
    width = min(indent, shared)
    return re.sub(rf"^[ ]{{1,{width}}}", "", code, flags=re.MULTILINE) if width else code
