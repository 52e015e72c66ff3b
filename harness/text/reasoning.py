"""Splits what a model thought from what it answered. Pure, and linear in the text.

A thought stands between a pair of marks of PAIRS at the beginning of the text, or on lines of its own further down; or
above a closing mark whose opening the chat template wrote. Harmony's channels are read as what they are: `final` is the
answer. A thought without an end is one that was cut off: there is no answer then, only what stands outside it.

Marks that a program or a sentence talks about are none: those in quotes or backticks, in a code block, in a string of
several lines. A text without marks comes back as it is, to the letter.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from harness.text.mark_context import Mark, MarkContext
from harness.text.turns import begin_turn, end_turn


class Split(NamedTuple):
    """`unfinished`: the text ends inside a thought, so that `answer` is what stands outside it, which is nothing as a
    rule."""

    reasoning: str
    answer: str
    unfinished: bool = False


class _Pair(NamedTuple):
    """Two patterns, and whether templates open the thought, so that the closing mark may stand alone."""

    opening: str
    closing: str
    lone: bool = True


# Tags around a thought, <x> ... </x>; models with such a tag in another spelling put a word before or after it
# (<seed:think>, <longcat_think>, <think_fast>).
TAGS = (
    "think",
    "thinking",
    "thought",
    "thoughts",
    "reasoning",
    "reflection",
    "scratchpad",
    "analysis",
    "inner_monologue",
)
_TEMPLATES_OPEN = ("think", "thinking", "thought", "reasoning")

# Family -> its marks. DeepSeek-R1, Qwen3, QwQ, GLM, Nemotron, EXAONE 4, Granite 3.3, MiniMax, Phi-4, Hunyuan, ERNIE and
# OLMo have <think>; EXAONE Deep has <thought>, Reka <reasoning>.
PAIRS: Mapping[str, _Pair] = {
    **{
        tag: _Pair(
            rf"<(?:\w{{1,20}}+[:|]|\w{{1,20}}_)?{tag}(?:_\w{{1,20}}+)?(?:[ \t][^<>\n]{{0,80}}+)?>",
            rf"</(?:\w{{1,20}}+[:|]|\w{{1,20}}_)?{tag}(?:_\w{{1,20}}+)?[ \t]*+>",
            tag in _TEMPLATES_OPEN,
        )
        for tag in TAGS
    },
    "mistral": _Pair(r"\[THINK\]", r"\[/THINK\]"),
    "cruxeval": _Pair(r"\[THOUGHT\]", r"\[/THOUGHT\]"),
    "kimi": _Pair("◁think▷", "◁/think▷"),
    "openthinker": _Pair(r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    "cohere": _Pair(r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    "apertus": _Pair(r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    "gemma": _Pair(r"<\|channel>[ \t]*+thought\b", r"<channel\|>"),
    "medgemma": _Pair(r"<unused94>(?:thought\b)?", r"<unused95>"),
    "solar": _Pair(r"<\|think\|>", r"(?:<\|end\|>)?(?:<\|begin\|>assistant)?<\|content\|>"),
    "apriel": _Pair(r"Here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]"),
    "granite": _Pair(r"Here(?: is|'s) my thought process:", r"Here(?: is|'s) my response:", False),
}
# Words that people use as well: without their end they are no thought.
_WORDS_OF_PEOPLE = {"granite"}
_NAMES = tuple(PAIRS)
_ANY = "any"  # the mark that the prompt ended with, of whatever family
_MARKS = re.compile(
    r"(?=[<\[◁H])(?:"
    + "|".join(
        f"(?P<open_{number}>{PAIRS[name].opening})|(?P<close_{number}>{PAIRS[name].closing})"
        for number, name in enumerate(_NAMES)
    )
    + ")",
    re.IGNORECASE,
)

# What stands around an answer behind a thought.
WRAPPERS = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<output>", "</output>"),
    ("<solution>", "</solution>"),
    ("[ANSWER]", "[/ANSWER]"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_box|>", "<|end_of_box|>"),
)
_CONTENT = re.compile(r"[^\ufeff \t\r\n]")
_HEADER = re.compile(
    r"(?:<\|start\|>[ \t]*+assistant[ \t]*+)?<\|channel\|>[ \t]*+(?P<channel>\w+)[^<\n]{0,100}+"
    r"(?:<\|constrain\|>[^<\n]{0,40}+)?<\|message\|>"
)
_HARMONY = {"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|call|>", "<|constrain|>"}
_LONGEST_MARK = 300  # characters of a prompt's end in which a mark is looked for
# Harmony where decoding dropped the tokens and left the words.
_PLAIN_HARMONY = re.compile(r"\s*+analysis(?=[A-Z\"'`(\n])")
_PLAIN_FINAL = "assistantfinal"


def split(text: str, opened: bool = False) -> Split:
    """The thought and the answer of a completion; marks that end its turn are taken off the answer.

    `opened`: the prompt's template opened a thought, so that all of a text without a closing mark is one.
    """
    body = begin_turn(text)
    if "<|message|>" in body and (parts := _harmony(body)) is not None:
        return parts
    if plain := _PLAIN_HARMONY.match(body):
        thought, final, answer = body[plain.end() :].partition(_PLAIN_FINAL)
        if final or not body[plain.end()].isspace():
            return Split(thought.strip(), end_turn(answer), not final)
    parts = _tagged(body, opened)
    if parts.unfinished or parts.reasoning or parts.answer != body:
        return parts._replace(answer=_unwrapped(end_turn(parts.answer)))
    return Split("", end_turn(body))


def has_marks(text: str) -> bool:
    """Whether any mark of a thought is in the text, used or only talked about."""
    return _MARKS.search(text) is not None or "<|channel|>" in text or _PLAIN_HARMONY.match(text) is not None


def opens_thought(prompt: str) -> bool:
    """Whether the prompt ends with a mark that opens a thought, as templates of reasoning models write it."""
    return any(
        str(found.lastgroup).startswith("open") or found.groupdict().get("channel") == "analysis"
        for found in _marks_at_end(prompt)
    )


def closes_thought(prompt: str) -> bool:
    """Whether the prompt ends with a mark that closes one, as templates write it to switch thinking off."""
    return any(str(found.lastgroup).startswith("close") for found in _marks_at_end(prompt))


def _marks_at_end(prompt: str) -> list[re.Match[str]]:
    tail = prompt[-_LONGEST_MARK:].rstrip()
    found = (*_MARKS.finditer(tail), *_HEADER.finditer(tail))
    return [match for match in found if match.end() == len(tail)]


def is_mark(token: str) -> bool:
    """Whether a special token is a mark that decoding has to keep."""
    return token in _HARMONY or any(_MARKS.fullmatch(token + more) for more in ("", "thought"))


# ---------------------------------------------------------------- pairs of marks


def _tagged(text: str, opened: bool) -> Split:
    """The text without the thoughts between marks of PAIRS."""
    found = [
        Mark(match.start(), match.end(), _NAMES[int(number)], kind == "open")
        for match in _MARKS.finditer(text)
        for kind, _, number in [str(match.lastgroup).partition("_")]
    ]
    again = bool(found) and found[0].opens and found[0].start <= _content(text, 0)
    marks = [Mark(0, 0, _ANY), *found] if opened and not again else found
    if not marks:
        return Split("", text)
    where = MarkContext(text)
    ends = _Ends(marks, where)
    thoughts: list[str] = []
    answer: list[str] = []
    at = number = 0
    begun = False  # whether there is anything of an answer yet
    content = _content(text, 0)  # where what comes next begins
    while number < len(marks):
        mark = marks[number]
        leading = not begun and mark.start <= content
        if mark.opens and (leading or where.begins_line(mark)):
            end = ends.after(number)
            if end is None and mark.family not in _WORDS_OF_PEOPLE and (leading or where.alone(mark)):
                before = "".join([*answer, text[at : mark.start]])
                return Split(_said([*thoughts, text[mark.end :]]), before, unfinished=True)
            if end is not None and (leading or where.apart(mark, marks[end])):
                answer += () if leading else (text[at : mark.start],)
                begun = not leading
                thoughts.append(text[mark.end : marks[end].start])
                at, number, content = marks[end].end, end, _content(text, marks[end].end)
        elif not mark.opens and PAIRS[mark.family].lone and where.closes_alone(mark, later=bool(thoughts)):
            thoughts.append("".join([*answer, text[at : mark.start]]))
            answer, at, begun, content = [], mark.end, False, _content(text, mark.end)
        number += 1
    if not at:
        return Split("", text)
    rest = "".join([*answer, text[at:]])
    return Split(_said(thoughts), re.sub(r"\A(?:[ \t]*+\r?\n)++|\A[ \t](?=\S)", "", rest))


def _content(text: str, at: int) -> int:
    return found.start() if (found := _CONTENT.search(text, at)) else len(text)


def _said(thoughts: Sequence[str]) -> str:
    return "\n\n".join(thought.strip() for thought in thoughts if thought.strip())


class _Ends:
    """Which mark ends a thought: the next of its family that no quote or backtick holds, else of any tags."""

    def __init__(self, marks: Sequence[Mark], where: MarkContext) -> None:
        self.opened = [0, *accumulate(mark.opens for mark in marks)]
        self.closing: dict[str, list[int]] = {}
        for number, mark in enumerate(marks):
            if not mark.opens and not where.quoted(mark):
                for name in (mark.family, "tag" if mark.family in TAGS else "", _ANY):
                    self.closing.setdefault(name, []).append(number)
        self.marks = marks

    def after(self, number: int) -> int | None:
        family = self.marks[number].family
        for name in (family, "tag") if family in TAGS else (family,):
            places = self.closing.get(name, [])
            at = bisect_right(places, number)
            if at < len(places):
                return self._of_nested(number, places[at])
        return None

    def _of_nested(self, number: int, end: int) -> int:
        """The end of a thought with marks of its own: as many closing marks further as there are opening ones in it, as
        long as no other mark comes between."""
        inner = self.opened[end] - self.opened[number + 1]
        while inner and end + 1 < len(self.marks) and not self.marks[end + 1].opens:
            end, inner = end + 1, inner - 1
        return end


# ---------------------------------------------------------------- channels


def _harmony(text: str) -> Split | None:
    """The channels of a text that has them; None where the text only talks about them."""
    where = MarkContext(text)
    headers = [
        match
        for match in _HEADER.finditer(text)
        if not where.quoted(Mark(match.start(), match.end(), "", True))
    ]
    if not headers:
        return None
    first = headers[0]
    above = text[: first.start()]
    if above.strip() and not above.rstrip().endswith("<|end|>"):
        mark = Mark(first.start(), first.end(), "", True)
        if above.rpartition("\n")[2].strip() or where.in_code(mark):
            return None
    thoughts, final = [_cut(above)], ""
    for number, header in enumerate(headers):
        end = headers[number + 1].start() if number + 1 < len(headers) else len(text)
        said = _cut(text[header.end() : end])
        if header["channel"] == "final":
            final = said
        else:
            thoughts.append(said)
    unfinished = not any(header["channel"] == "final" for header in headers)
    return Split(_said(thoughts), end_turn(final), unfinished)


def _cut(said: str) -> str:
    return re.split(r"<\|(?:end|return|call)\|>", said, maxsplit=1)[0]


def _unwrapped(answer: str) -> str:
    """The answer without the marks that stand around it behind a thought."""
    said = answer.lstrip()
    for opening, closing in WRAPPERS:
        if said[: len(opening)].lower() == opening.lower():
            inside = said[len(opening) :]
            at = inside.lower().rfind(closing.lower())
            inside = inside if at < 0 else inside[:at] + inside[at + len(closing) :]
            return re.sub(r"\A(?:[ \t]*+\r?\n)++", "", inside)
    return answer
