"""The viewer's three pages, and the one that shows what a command printed. The report's frame, style and policy.

The three hold no text of a run: their scripts ask for it as JSON and put it in as text.
"""

from functools import cache
from pathlib import Path

from harness.results.report import page

ASSETS = Path(__file__).resolve().parent / "assets"

# Page -> title, scripts after those that all have.
PAGES = {
    "runs": ("Runs", ("runs.js",)),
    "samples": ("Samples", ("pager.js", "samples.js")),
    "side": ("Side by side", ("pager.js", "side.js")),
}


@cache
def html(name: str) -> str:
    title, scripts = PAGES[name]
    script = page.asset("text.js") + "".join(_asset(each) for each in ("live.js", *scripts))
    return page.frame(title, _asset(f"{name}.html"), script, _asset("view.css"), connect="'self'")


def printed(title: str, text: str) -> str:
    """A page with the text as it is."""
    body = f'<header class="top"><h1>{page.text(title)}</h1></header><main><pre class="printed">'
    lines = "\n".join(page.text(line) for line in text.splitlines())
    return page.frame(title, f"{body}{lines}</pre></main>", "", _asset("view.css"))


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
