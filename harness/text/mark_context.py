"""Whether a mark in a text is used or only talked about: it may stand in quotes, in a code block, in a comment.

Pure, and linear in the text for all of its marks together.
"""

import re
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

from harness.text.markdown import fences, normalize_line_ends

_QUOTES = re.compile("[\"'`]")
_FENCES = re.compile("`{3,}+")
# Quotes that are closed again, and a quote that is left open: an apostrophe is none.
_CLOSED = re.compile(r"\\.|\"[^\"]*+\"|`[^`]*+`|(?<!\w)'[^']*+'(?!\w)")
_OPENING = {
    '"': re.compile('"'),
    "`": re.compile("`"),
    "'": re.compile(r"(?<!\w)[rbfuRBFU]{0,2}'"),
}
_LINE_END = re.compile(r"[\r\n]")


class Mark(NamedTuple):
    """Where a mark stands; `family` and `opens` are for whoever looks for marks that belong together."""

    start: int
    end: int
    family: str = ""
    opens: bool = True


class MarkContext:
    """How marks stand in the text: quoted, in a block, in a string, at the beginning or end of a line."""

    _NEAR = 200  # characters around a mark in which quotes are looked for

    def __init__(self, text: str) -> None:
        self.text = text

    def _around(self, mark: Mark) -> tuple[str, str]:
        """What stands before and behind the mark on its line."""
        before = self.text[max(0, mark.start - self._NEAR) : mark.start]
        behind = self.text[mark.end : mark.end + self._NEAR]
        last = max(before.rfind("\n"), before.rfind("\r"))
        return before[last + 1 :], _LINE_END.split(behind, maxsplit=1)[0]

    def quoted(self, mark: Mark) -> bool:
        """Whether quotes or backticks that hold the mark open and close on its line."""
        before, behind = self._around(mark)
        if not _QUOTES.search(before) or not _QUOTES.search(behind):
            return False
        before, behind = (_FENCES.sub("", side) for side in (before, behind))  # a fence is no quote
        before = _CLOSED.sub("", before)
        return any(sign in behind and opens.search(before) for sign, opens in _OPENING.items())

    def begins_line(self, mark: Mark) -> bool:
        return not self._around(mark)[0].strip() and not self.in_code(mark)

    def alone(self, mark: Mark) -> bool:
        before, behind = self._around(mark)
        return not before.strip() and not behind.strip() and not self.in_code(mark)

    def apart(self, opening: Mark, closing: Mark) -> bool:
        """Whether a pair in the middle of a text is one: it fills its lines, or all of one sentence."""
        return self.alone(opening) or not self._around(closing)[1].strip()

    def closes_alone(self, mark: Mark, later: bool) -> bool:
        """Whether a closing mark without an opening one ends a thought that the template opened.

        It does at the end of a line or sentence; in the middle of a sentence it is talked about. `later`: behind
        another thought it has to have a line of its own.
        """
        before, behind = self._around(mark)
        if self.quoted(mark) or self.in_code(mark):
            return False
        if later or not before.strip():
            return not before.strip()
        if before.lstrip().startswith(("#", "//", "--")):
            return False  # a comment
        spoken_of = (before[-1].isspace() and before.rstrip()[-1].isalnum()) or behind[:1] in tuple(
            ".,;:!?)]}*"
        )
        return not (spoken_of and any(begin < mark.start for begin in self._code[0][:1]))

    def in_code(self, mark: Mark) -> bool:
        """Whether the mark is in a closed code block or in a string of several lines."""
        begins, ends = self._code
        at = bisect_right(begins, mark.start) - 1
        if at >= 0 and mark.start < ends[at]:
            return True
        return any(
            0 < bisect_right(places, mark.start) < len(places) and bisect_right(places, mark.start) % 2
            for places in self._strings
        )

    @cached_property
    def _code(self) -> tuple[list[int], list[int]]:
        """Where code blocks that are closed begin and end. One whose end names a language was not closed."""
        begins, ends, start, marks = list[int](), list[int](), -1, ""
        for line in fences(normalize_line_ends(self.text)):
            if line.inside is not None:
                continue
            if start >= 0 and not line.word and line.marks.startswith(marks):
                begins.append(start)
                ends.append(line.start)
                start = -1
            elif start < 0 or line.word:
                start, marks = line.end, line.marks
        return begins, ends

    @cached_property
    def _strings(self) -> tuple[list[int], list[int]]:
        """Where triple quotes stand outside of code blocks."""
        begins, ends = self._code

        def outside(place: int) -> bool:
            at = bisect_right(begins, place) - 1
            return at < 0 or place >= ends[at]

        found = [match.start() for match in re.finditer(r'"""', self.text) if outside(match.start())]
        other = [match.start() for match in re.finditer("'''", self.text) if outside(match.start())]
        return found, other
