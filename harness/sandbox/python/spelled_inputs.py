"""Inputs that tests spell out, kept apart from the code that loops over them.

EvalPlus' tests are a loop over `differing(program, answered, [...])` whose list has up to a megabyte. Compiled as code,
and walked as a tree to find out what the tests need, it takes as long as all references together. Here the code gets a
name in its place, and the list is read when somebody needs it.
"""

import re
from typing import Any

NAME = "__spelled_inputs__"
_LOOP = re.compile(r"(for [\w, ]+ in differing\(\w+, \w+, )(\[.*\])(\):\n)")
# Of right values that are kept between runs, for one problem's inputs.
MAX_KEPT_BYTES = 16 << 20
# All that the text of plain data may name.
_NUMBERS = ("inf", "nan")


class SpelledInputs:
    """`text`: of a list of plain data, as Python writes it."""

    def __init__(self, text: str, numbers: dict[str, Any]) -> None:
        self.text, self.numbers = text, numbers
        self._first: list[Any] | None = None

    def value(self) -> list[Any]:
        """A list of its own each time, as code that spells it out has."""
        first, self._first = self._first, None
        return self._read() if first is None else first

    def is_plain(self) -> bool:
        """Whether it is the text of plain data and nothing else: then nothing is lost by not looking at it as code."""
        try:
            self._first = self._read()
            return repr(self._first) == self.text
        except Exception:  # noqa: BLE001 - whatever it is, it stays in the code
            return False

    def _read(self) -> list[Any]:
        value: list[Any] = eval(self.text, {"__builtins__": {}, **self.numbers})
        return value


def digest_of(setup: str, code: str) -> bytes:
    """Of tests."""
    import hashlib  # few tests spell out many inputs

    return hashlib.blake2b(f"{setup}\0{code}".encode("utf-8", "surrogatepass")).digest()


def may_spell_out(setup: str, code: str) -> bool:
    """Whether to look closer: tests without such a loop are most."""
    return code.startswith("for ") and "differing" in setup and _LOOP.match(code) is not None


def lift(code: str, namespace: dict[str, Any], plain: bool = False) -> tuple[str, SpelledInputs] | None:
    """The tests with a name for the inputs of their loop, and the inputs; None where they have no such loop.
    `namespace`: what the set-up defines. `plain`: the inputs are known to be plain data.
    """
    found = _LOOP.match(code)
    if found is None or "differing" not in namespace or NAME in code:
        return None
    numbers = {name: namespace[name] for name in _NUMBERS if type(namespace.get(name)) is float}
    inputs = SpelledInputs(found[2], numbers)
    return (found[1] + NAME + found[3] + code[found.end() :], inputs) if plain or inputs.is_plain() else None
