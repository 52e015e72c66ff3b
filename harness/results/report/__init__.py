"""Show finished runs: a table in the terminal, Markdown, CSV or JSON. Pure functions of stored records."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.results.report import tables

FORMATS: Mapping[str, Callable[[Sequence[Mapping[str, Any]]], str]] = {
    "md": tables.markdown,
    "csv": tables.csv_text,
    "json": tables.json_text,
}
