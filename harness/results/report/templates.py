"""HTML from templates: every text is escaped, and a template that asks for what it was not given is a fault.

Only Markup goes into a page as it is: a template's own result, files of this package, plots, packed samples.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from harness.results.report.tables import printable

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS = Path(__file__).resolve().parent / "assets"


def environment(folder: Path = ASSETS, /, **functions: Any) -> "Environment":
    """The templates of a folder, which may call `functions`. Control characters of texts are spelled out."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.globals.update(functions)
    return made


def asset(name: str, folder: Path = ASSETS) -> Markup:
    """A file of the package, for a page as it is."""
    return Markup((folder / name).read_text(encoding="utf-8"))
