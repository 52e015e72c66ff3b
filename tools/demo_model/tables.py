"""The hand-written tables of the corpus: text files in tables/, whose README says how they are laid out."""

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "tables"

# In the order in which they are drawn from; it decides what a seed gives.
OPERATIONS = (
    "operations_lists",
    "operations_comprehensions",
    "operations_strings",
    "operations_numbers",
    "operations_dictionaries",
    "operations_system",
)
FUNCTIONS = (
    "functions_arithmetic",
    "functions_number_theory",
    "functions_measures",
    "functions_dictionaries",
    "functions_lists",
    "functions_nested_lists",
    "functions_strings",
    "functions_string_analysis",
)


def blocks(names: Sequence[str]) -> list[str]:
    """The blocks of these tables, in order."""
    texts = ((FOLDER / f"{name}.txt").read_text(encoding="utf-8") for name in names)
    return [block for text in texts for block in text.strip().split("\n\n")]
