"""Kinds in families: which elements (even, longer than 3), what of them (squares), what then (sum, list).

Crossing a dozen of each teaches the model to compose them. Functions and one-liners come from the same parts.
Not everything crosses well in English; the phrases are plain on purpose.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.demo_model.functions import Function


@dataclass(frozen=True)
class Part:
    """One member of a family: its word in function names, its phrase and its code."""

    name: str
    phrase: str
    code: str


@dataclass(frozen=True)
class Over:
    """What is iterated: loop variable, noun for the elements, phrase for the whole, code, argument domain."""

    variable: str
    noun: str
    whole: str
    code: str
    domain: str


NUMBERS = Over("x", "numbers", "in $1", "$1", "ints")
RANGE = Over("i", "numbers", "from 1 to $1", "range(1, $1 + 1)", "n")
WORDS = Over("w", "words", "in $1", "$1", "words")
SENTENCE = Over("w", "words", "in the sentence $1", "$1.split()", "text")
LETTERS = Over("c", "characters", "in $1", "$1", "text")

ANY = Part("", "", "")
NUMBER_FILTERS = (
    Part("even", "even", "_ % 2 == 0"),
    Part("odd", "odd", "_ % 2 == 1"),
    Part("positive", "positive", "_ > 0"),
    Part("negative", "negative", "_ < 0"),
    Part("nonzero", "not zero", "_ != 0"),
    Part("above", "greater than $2", "_ > $2"),
    Part("below", "less than $2", "_ < $2"),
    Part("at_least", "at least $2", "_ >= $2"),
    Part("at_most", "at most $2", "_ <= $2"),
    Part("multiples", "divisible by $2", "_ % $2 == 0"),
    Part("above_@", "greater than @", "_ > @"),
    Part("below_@", "less than @", "_ < @"),
    Part("multiples_of_@", "divisible by @", "_ % @ == 0"),
    Part("other_than", "not equal to $2", "_ != $2"),
    Part("two_digit", "between 10 and 99", "10 <= _ <= 99"),
)
NUMBER_MAPS = (
    Part("squares", "squares", "_ ** 2"),
    Part("cubes", "cubes", "_ ** 3"),
    Part("doubles", "doubles", "_ * 2"),
    Part("absolute_values", "absolute values", "abs(_)"),
    Part("halves", "halves, rounded down,", "_ // 2"),
    Part("last_digits", "last digits", "_ % 10"),
    Part("negatives", "negatives", "-_"),
    Part("remainders", "remainders by @", "_ % @"),
)
WORD_FILTERS = (
    Part("long", "longer than $2", "len(_) > $2"),
    Part("short", "shorter than $2", "len(_) < $2"),
    Part("exact", "exactly $2 letters long", "len(_) == $2"),
    Part("longer_than_@", "longer than @ letters", "len(_) > @"),
    Part("starting_with", "starting with $3", "_.startswith($3)"),
    Part("ending_with", "ending with $3", "_.endswith($3)"),
    Part("containing", "containing $3", "$3 in _"),
    Part("without", "not containing $3", "$3 not in _"),
    Part("palindromes", "equal to their reverse", "_ == _[::-1]"),
    Part("capitalized", "starting with a capital letter", "_[0].isupper()"),
    Part("even_length", "of even length", "len(_) % 2 == 0"),
)
WORD_MAPS = (
    Part("lengths", "lengths", "len(_)"),
    Part("first_letters", "first letters", "_[0]"),
    Part("last_letters", "last letters", "_[-1]"),
    Part("upper", "upper case forms", "_.upper()"),
    Part("lower", "lower case forms", "_.lower()"),
    Part("capitalized", "capitalized forms", "_.capitalize()"),
    Part("reversed", "reverses", "_[::-1]"),
)
LETTER_FILTERS = (
    Part("vowels", "vowels", "_ in 'aeiou'"),
    Part("non_vowels", "characters that are not vowels", "_ not in 'aeiou'"),
    Part("digits", "digits", "_.isdigit()"),
    Part("letters", "letters", "_.isalpha()"),
    Part("upper", "upper case letters", "_.isupper()"),
    Part("lower", "lower case letters", "_.islower()"),
    Part("spaces", "spaces", "_ == ' '"),
    Part("non_spaces", "characters that are not spaces", "_ != ' '"),
    Part("alphanumeric", "letters and digits", "_.isalnum()"),
    Part("given", "characters equal to $3", "_ == $3"),
    Part("listed", "characters that occur in $3", "_ in $3"),
)
# Reducers: name, docstrings around the elements `&`, code around the generator `#`.
REDUCERS = (
    Part("sum", "Return the sum of &.|Add up &.|Compute the total of &.", "sum(#)"),
    Part("list", "Return a list of &.|List &.|Return & as a list.|Collect &.", "[#]"),
    Part(
        "largest",
        "Return the largest of &, or 0 if there are none.|Find the maximum of &; 0 if there are none.",
        "max((#), default=0)",
    ),
    Part(
        "smallest",
        "Return the smallest of &, or 0 if there are none.|Find the minimum of &; 0 if there are none.",
        "min((#), default=0)",
    ),
    Part("sorted", "Return & in ascending order.|Return a sorted list of &.|Sort &.", "sorted(#)"),
    Part(
        "descending",
        "Return & in descending order.|Sort & from largest to smallest.",
        "sorted((#), reverse=True)",
    ),
    Part("distinct", "Return the set of &.|Return & without duplicates, as a set.", "{#}"),
    Part(
        "first",
        "Return the first of &, or None if there are none.|Find the first of &; None if there are none.",
        "next((#), None)",
    ),
)
TEXT_REDUCERS = (
    Part("list", "Return a list of &.|List &.|Return & as a list.|Collect &.", "[#]"),
    Part("sorted", "Return & in alphabetical order.|Return a sorted list of &.|Sort &.", "sorted(#)"),
    Part("joined", "Return & joined with spaces.|Return a string of &, separated by spaces.", "' '.join(#)"),
    Part("concatenated", "Return & joined into one string.|Concatenate &.", "''.join(#)"),
    Part(
        "first",
        "Return the first of &, or None if there are none.|Find the first of &; None if there are none.",
        "next((#), None)",
    ),
)
RETURNS = (
    ("any(", "bool"),
    ("all(", "bool"),
    ("sum(", "int"),
    ("max(", "int"),
    ("min(", "int"),
    ("[", "list[E]"),
    ("sorted(", "list[E]"),
    ("{", "set[E]"),
    ("next(", "E | None"),
    ("' '", "str"),
    ("''", "str"),
)
COUNT = "Count &.|Return the number of &.|Return how many of the ~ are +."


def _elements(over: Over, keep: Part) -> str:
    """`the even numbers in $1`, `the words in $1 longer than $2`."""
    if not keep.name:
        return f"the {over.noun} {over.whole}"
    if " " in keep.phrase:
        relative = "that are " if over.noun == "numbers" else ""
        return f"the {over.noun} {over.whole} {relative}{keep.phrase}"
    return f"the {keep.phrase} {over.noun} {over.whole}"


def _put(over: Over, code: str) -> str:
    """A part's code with the loop variable in place of `_`."""
    return re.sub(r"\b_\b", over.variable, code)


def _generator(over: Over, keep: Part, what: Part) -> str:
    expression = _put(over, what.code or "_")
    condition = f" if {_put(over, keep.code)}" if keep.name else ""
    return f"{expression} for {over.variable} in {over.code}{condition}"


def _kind(over: Over, parts: tuple[Part, ...], names: list[str], docs: list[str], returned: str) -> Function:
    """Number the arguments: `$3`, a letter, becomes the second argument where there is no `$2`."""
    text = "".join(part.code for part in parts)
    domains = [over.domain]
    if "$2" in text:
        domains.append("k")
    if "$3" in text:
        domains.append("letter")
        docs = [doc.replace("$3", "$2") for doc in docs]
        returned = returned.replace("$3", "$2")
    element = (
        "int"
        if over.domain in ("ints", "n") or "len(" in returned.split(" for ")[0] or "[i " in returned
        else "str"
    )
    kind = next(kind for start, kind in RETURNS if returned.startswith(start)).replace("E", element)
    return Function(tuple(names), tuple(domains), kind, tuple(docs), f"    return {returned}\n")


def _reduced(over: Over, keep: Part, what: Part, reducer: Part) -> Function:
    elements = _elements(over, keep)
    if what.name:
        elements = f"the {what.phrase} of {elements}"
    middle = "_".join(part for part in (what.name, keep.name) if part) or over.noun
    names = [f"{reducer.name}_{middle}", f"{reducer.name}_of_{middle}", f"{middle}_{reducer.name}", middle]
    code = reducer.code.replace("#", _generator(over, keep, what))
    docs = [doc.replace("&", elements) for doc in reducer.phrase.split("|")]
    return _kind(over, (keep, what), names, docs, code)


def _counted(over: Over, keep: Part) -> Function:
    whole = f"{over.noun} {over.whole}"
    docs = [
        doc.replace("&", _elements(over, keep)).replace("~", whole).replace("+", keep.phrase)
        for doc in COUNT.split("|")
    ]
    names = [f"count_{keep.name}", f"num_{keep.name}", f"{keep.name}_count", f"how_many_{keep.name}"]
    return _kind(
        over, (keep,), names, docs, f"sum(1 for {over.variable} in {over.code} if {_put(over, keep.code)})"
    )


def _tested(over: Over, keep: Part, quantifier: str) -> Function:
    each = {"any": f"at least one of the {over.noun}", "all": f"every one of the {over.noun}"}[quantifier]
    docs = [
        f"Return True if {quantifier} of the {over.noun} {over.whole} are {keep.phrase}.",
        f"Check whether {each} {over.whole} is {keep.phrase}.",
        f"Return whether {quantifier} {over.noun} {over.whole} are {keep.phrase}.",
    ]
    names = [f"{quantifier}_{keep.name}", f"is_{quantifier}_{keep.name}", f"{quantifier}_are_{keep.name}"]
    code = f"{quantifier}({_put(over, keep.code)} for {over.variable} in {over.code})"
    return _kind(over, (keep,), names, docs, code)


def _letters() -> Iterator[Function]:
    for keep in LETTER_FILTERS:
        condition = _put(LETTERS, keep.code)
        some = f"the {keep.phrase} in $1"
        names = [f"count_{keep.name}", f"num_{keep.name}", f"{keep.name}_count"]
        docs = [
            f"Count {some}.",
            f"Return the number of {keep.phrase} in $1.",
            f"Return how many {keep.phrase} $1 has.",
        ]
        yield _kind(LETTERS, (keep,), names, docs, f"sum(1 for c in $1 if {condition})")
        names = [f"keep_{keep.name}", f"only_{keep.name}", f"extract_{keep.name}"]
        docs = [
            f"Return a string of {some}.",
            f"Keep only {some}.",
            f"Return $1 with everything removed except {some}.",
        ]
        yield _kind(LETTERS, (keep,), names, docs, f"''.join(c for c in $1 if {condition})")
        names = [f"{keep.name}_positions", f"positions_of_{keep.name}", f"indices_of_{keep.name}"]
        docs = [f"Return a list of the positions of {some}.", f"List the indices of {some}."]
        yield _kind(LETTERS, (keep,), names, docs, f"[i for i, c in enumerate($1) if {condition}]")
        names = [f"has_{keep.name}", f"contains_{keep.name}", f"any_{keep.name}"]
        docs = [
            f"Return True if there are any {keep.phrase} in $1.",
            f"Check whether $1 contains {keep.phrase}.",
        ]
        yield _kind(LETTERS, (keep,), names, docs, f"any({condition} for c in $1)")
        names = [f"all_{keep.name}", f"only_has_{keep.name}", f"is_all_{keep.name}"]
        docs = [
            f"Return True if $1 consists of {keep.phrase} only.",
            f"Check whether all characters in $1 are {keep.phrase}.",
        ]
        yield _kind(LETTERS, (keep,), names, docs, f"all({condition} for c in $1)")


def _all() -> Iterator[Function]:
    for over, filters, maps, reducers in (
        (NUMBERS, NUMBER_FILTERS, NUMBER_MAPS, REDUCERS),
        (RANGE, NUMBER_FILTERS, NUMBER_MAPS[:3], REDUCERS[:2]),
        (WORDS, WORD_FILTERS, WORD_MAPS, TEXT_REDUCERS),
        (SENTENCE, WORD_FILTERS, WORD_MAPS, TEXT_REDUCERS[:4]),
    ):
        usable = [
            keep
            for keep in filters
            if over is not RANGE or keep.name not in ("positive", "negative", "nonzero")
        ]
        for keep in usable:
            yield _counted(over, keep)
            if over.domain in ("ints", "words"):
                yield from (_tested(over, keep, quantifier) for quantifier in ("any", "all"))
        for reducer in reducers:
            for what in (ANY, *maps):
                for keep in (ANY, *usable):
                    textual = reducer.name in ("joined", "concatenated") and what.name == "lengths"
                    if (what.name or keep.name) and not textual:
                        yield _reduced(over, keep, what, reducer)
    yield from _letters()


@functools.cache
def functions() -> tuple[Function, ...]:
    """Every member of every family."""
    return tuple(_all())
