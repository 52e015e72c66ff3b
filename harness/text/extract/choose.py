"""Which code of a completion is the answer: the readings by name, each (text, Wanted) -> code.

entry_point   the last block that defines what was asked for, with the blocks before it that it needs; else the first
              in the task's language; without a block the code in the text. What every code task does by default
program       the same for programs that read standard input
first_block   the first block, whatever it holds
last_block    the last one
all_blocks    every block in the task's language, below one another
verbatim      the text

Never a shell command, output, a session that only shows the function, or the prompt's signature repeated, unless there
is nothing else. Why the last: docs/decisions.md.
"""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.text.extract import python_code, unfenced
from harness.text.extract.wanted import Wanted, reads_input
from harness.text.languages import language_of
from harness.text.markdown import Block, blocks, outside

Reading = Callable[[str, Wanted], str]

_INVISIBLE = "\ufeff\u200b\u2060"  # a byte order mark, blanks without width
_FIRST_WORD = re.compile(r"\s*+([\w+#]{1,20}+)[ \t]*+\r?\n")
# Names that code in other languages defines.
_DEFINITION = re.compile(
    r"\b(?:function|const|let|var|fn|func|class|struct|enum|interface|type)[ \t]++(\w++)"
    r"|^(?:[\w:<>,&*]++[ \t]++)++[&*]*+(\w++)[ \t]*+\([^;{}()]*+\)[ \t\r\n]*+\{",
    re.MULTILINE,
)


@dataclass(frozen=True)
class _Candidate:
    """A block's code, read as the task's language; `own`: the block says that it is, or the prompt opened it."""

    code: str
    tree: ast.Module | None
    own: bool
    usable: bool
    session: bool


# ---------------------------------------------------------------- readings


def by_entry_point(text: str, wanted: Wanted) -> str:
    text = _without_language(text.lstrip(_INVISIBLE), wanted)
    fenced = blocks(text)
    if not fenced:
        return _without_fences(text, wanted)
    if wanted.language == "python" and unfenced.stands(text, wanted):
        return text  # the fences are in a docstring
    found = [block for block in fenced if block.code.strip()] or fenced[:1]
    chosen = _answer(found, wanted)
    if chosen is not None:
        return chosen
    around = _without_fences(outside(text, fenced), wanted)  # the blocks may only show its use
    if wanted.is_answer(around, python_code.parse(around)) or wanted.continues(around):
        return around
    return _best(found, wanted)


def _without_fences(text: str, wanted: Wanted) -> str:
    found = unfenced.marked(text, wanted)
    if not found:
        return unfenced.read(text, wanted)
    chosen = _answer(found, wanted)
    return _best(found, wanted) if chosen is None else chosen


def _without_language(text: str, wanted: Wanted) -> str:
    """The text without the word behind a fence where the prompt holds the fence itself."""
    word = _FIRST_WORD.match(text)
    return text[word.end() :] if word and language_of(word[1]) == wanted.language else text


def by_input(text: str, wanted: Wanted) -> str:
    return by_entry_point(text, replace(wanted, name="", fits=reads_input))


def first_block(text: str, wanted: Wanted) -> str:
    del wanted
    found = blocks(text)
    return found[0].code if found else text


def last_block(text: str, wanted: Wanted) -> str:
    del wanted
    found = [block for block in blocks(text) if block.code.strip()]
    return found[-1].code if found else text


def all_blocks(text: str, wanted: Wanted) -> str:
    found = _candidates(blocks(text), wanted)
    return "\n".join(each.code for each in found if each.usable) if found else text


def verbatim(text: str, wanted: Wanted) -> str:
    del wanted
    return text


READINGS: Mapping[str, Reading] = {
    "entry_point": by_entry_point,
    "program": by_input,
    "first_block": first_block,
    "last_block": last_block,
    "all_blocks": all_blocks,
    "verbatim": verbatim,
}


# ---------------------------------------------------------------- choosing a block


def first_in_language(found: Sequence[Block], language: str) -> str:
    """The first block in the language or in none, of which the former come first; else the first of all."""
    return _best(found, Wanted(language=language))


def _candidates(found: Sequence[Block], wanted: Wanted) -> list[_Candidate]:
    made = []
    for block in found:
        code, session = block.code.lstrip(_INVISIBLE), False
        if not block.closed:
            code = _up_to_fence(code, wanted)
        if wanted.language == "python":
            session = python_code.is_session(code)
            code = python_code.strip_session_prompts(code)
            moved = python_code.dedent(code)
            if moved != code and wanted.is_answer(moved, python_code.parse(moved)):
                code = moved
        if code.strip():
            own = not block.opened or block.language == wanted.language
            tree = python_code.parse(code) if wanted.language == "python" else None
            if not tree and own and wanted.language == "python":
                shorter = unfenced.without_prose(code, unfenced.is_prose)
                tree = python_code.parse(shorter)
                code = shorter if tree else code
            made.append(_Candidate(code, tree, own, own or not block.language, session))
    return made


def _up_to_fence(code: str, wanted: Wanted) -> str:
    """The code of a block without an end, up to a fence that stands behind code and not on a line of its own."""
    cut = code.partition("```")[0]
    return code if cut == code or (wanted.language == "python" and python_code.parse(cut) is None) else cut


def _answer(found: Sequence[Block], wanted: Wanted) -> str | None:
    """The last block that is an answer by itself, in the task's language if there is one, and what it needs."""
    candidates = _candidates(found, wanted)
    for usable in (True, False):
        for number in reversed(range(len(candidates))):
            each = candidates[number]
            if each.usable == usable and wanted.is_answer(each.code, each.tree):
                return _with_helpers(candidates, number, wanted)
    named = [each.code for each in candidates if not each.tree and wanted.looks_like_an_answer(each.code)]
    return named[-1] if named else None


def _best(found: Sequence[Block], wanted: Wanted) -> str:
    """Of blocks none of which is an answer by itself the one to go on from: a body, a short answer."""
    candidates = [_as_body(each, wanted) for each in _candidates(found, wanted) if not each.session]
    usable = [each for each in candidates if each.usable]
    whole = [
        each
        for each in usable
        if wanted.continues(each.code)
        or (each.tree and python_code.does_something(each.tree) and not _is_stub(each.tree, wanted.name))
    ]
    for group in (whole, usable, candidates):
        for own in (True, False):
            for each in group:
                if each.own == own:
                    return each.code
    return found[0].code if found else ""


def _as_body(each: _Candidate, wanted: Wanted) -> _Candidate:
    """The block's code as it goes on from the prompt."""
    if wanted.language != "python" or not wanted.prompt:
        return each
    code = python_code.indent_body(wanted.prompt, each.code)
    return each if code == each.code else replace(each, code=code, tree=None)


def _is_stub(tree: ast.Module, name: str) -> bool:
    return bool(name) and python_code.is_stub(tree, name)


# ---------------------------------------------------------------- helpers in other blocks


def _with_helpers(candidates: Sequence[_Candidate], number: int, wanted: Wanted) -> str:
    chosen = candidates[number]
    if wanted.language == "python":
        places = _python_helpers(candidates, number, wanted)
    else:
        places = _helpers(candidates, number)
    return "\n".join([*(candidates[place].code for place in sorted(places)), chosen.code])


def _python_helpers(candidates: Sequence[_Candidate], number: int, wanted: Wanted) -> set[int]:
    """The blocks that define what the chosen one needs, and what those need in turn."""
    where: dict[str, list[int]] = {}
    for place, each in enumerate(candidates):
        if place != number and each.usable and not each.session and each.tree:
            for name in python_code.bound_names(each.tree):
                where.setdefault(name, []).append(place)
    above = python_code.parse(python_code.preamble(wanted.prompt, wanted.name)) if wanted.prompt else None
    known = python_code.bound_names(above) if above else set[str]()
    known |= {wanted.name}
    taken: set[int] = set()
    waiting = [number]
    while waiting:
        tree = candidates[waiting.pop()].tree
        for name in python_code.free_names(tree) - known if tree else ():
            known.add(name)
            if name in where:
                place = max((each for each in where[name] if each < number), default=where[name][0])
                if place not in taken:
                    taken.add(place)
                    waiting.append(place)
    return taken


def _helpers(candidates: Sequence[_Candidate], number: int) -> set[int]:
    """The same for a language that is not parsed: by the names that earlier blocks define."""
    used = set(re.findall(r"\w++", candidates[number].code))
    own = _defined(candidates[number].code)
    return {
        place
        for place, each in enumerate(candidates[:number])
        if each.own and (names := _defined(each.code)) & (used - own) and not names & own
    }


def _defined(code: str) -> set[str]:
    return {first or second for first, second in _DEFINITION.findall(code)}
