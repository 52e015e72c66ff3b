"""A run as a notebook shows it: the table of metrics, the notes, the signature. A fragment of HTML without style."""

from collections.abc import Mapping
from html import escape
from typing import Any

from harness.results.report import tables

HEADER = ("run", "metric", "value", "95 % interval", "k / n", "faults")


def run_table(summary: Mapping[str, Any]) -> str:
    """`summary` is the content of summary.json."""
    head = "".join(f"<th>{name}</th>" for name in HEADER)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in tables.rows([summary])
    )
    notes = "".join(f"<div>{escape(note)}</div>" for note in tables.footnotes(summary))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><small>{notes}</small>"
