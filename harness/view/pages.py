"""The viewer's three pages, and the one that shows what a command printed. The report's frame, style and policy.

The three hold no text of a run: their scripts ask for it as JSON and put it in as text.
"""

from functools import cache
from pathlib import Path

from markupsafe import Markup

from harness.results.report import page
from harness.results.report.templates import asset, environment

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
    script = asset("text.js") + Markup().join(asset(each, ASSETS) for each in ("live.js", *scripts))
    return page.frame(title, asset(f"{name}.html", ASSETS), script, asset("view.css", ASSETS), "'self'")


def printed(title: str, text: str) -> str:
    """A page with the text as it is."""
    body = environment(ASSETS).get_template("printed.html").render(title=title, lines=text.splitlines())
    return page.frame(title, Markup(body), Markup(), asset("view.css", ASSETS))
