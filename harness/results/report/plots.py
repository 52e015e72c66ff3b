"""Plots of a section as matplotlib figures: for the page (with the page's colour variables) and for files.

Each function returns a figure, or None if there is nothing to plot. Figures show the same estimates and 95 % intervals
as the tables. After the papers: value against examples (2308.10462, Figure 3), methods side by side (Figure
7), radar (2311.02303, Figure 5).
"""

import importlib.util
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.results.compare import mean_cost
from harness.results.report import sections
from harness.results.report.sections import Section
from harness.results.report.tables import printable
from harness.runs.store import reader
from harness.schema import Estimate, Unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette: distinct to colour-blind readers, and dark enough for white paper.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6a3d9a", "#666666")
MOST_LINES = 5  # in a radar
INK, FAINT = "#1b1f24", "#d0d5da"
WIDTH, HEIGHT = 6.0, 3.4  # inches


def available() -> bool:
    """Whether matplotlib is installed; without it pages have no plots and say so."""
    return importlib.util.find_spec("matplotlib") is not None


def all_of(section: Section) -> dict[str, "Figure"]:
    """Every plot for which the section has data, by name."""
    kinds: Mapping[str, Callable[[Section], Figure | None]] = {
        "methods": methods,
        "examples": examples,
        "cost": partial(cost, name="prompt_tokens a sample", label="prompt tokens per sample"),
        "parameters": partial(cost, name="trainable parameters", label="trainable parameters"),
        "memory": partial(cost, name="training peak MB", label="peak memory of training, MB"),
        "groups": groups,
        "pass-at-k": at_k,
        "thinking": thinking,
        "metrics": radar_of_metrics,
    }
    with _style():
        drawn = {name: draw(section) for name, draw in kinds.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


# ---------------------------------------------------------------- the plots


def methods(section: Section) -> "Figure | None":
    """The deciding metric of every row with its interval, best on top."""
    if len(section.rows) < 2 or not section.cells:
        return None
    rows, cells = section.rows[::-1], section.cells[::-1]
    figure, axes = _axes(height=max(1.6, 0.34 * len(rows) + 0.9))
    for i, (row, cell) in enumerate(zip(rows, cells, strict=True)):
        colour = INK if cell.difference is None else SERIES[0]
        _whisker(axes, cell.estimate, i, colour, across=True)
        del row
    axes.set_yticks(range(len(rows)), [_short(row.name) for row in rows])
    axes.set_xlabel(_label(section))
    axes.grid(axis="x")
    axes.set_ylim(-0.6, len(rows) - 0.4)
    return figure


def examples(section: Section) -> "Figure | None":
    """The deciding metric against the number of examples shown, one line per way of choosing them."""
    lines: dict[str, list[tuple[int, Estimate]]] = {}
    without: dict[
        str, Estimate
    ] = {}  # zero-shot estimates of the model and of each adapter: where their lines start
    models: dict[str, str] = {}
    for row, cell in zip(section.rows, section.cells, strict=False):
        config = row.runs[0].config
        name, _, count = config.shots.partition(":")
        model = reader.method(config.model_copy(update={"shots": "none"}))
        if config.shots == "none":
            without[model] = cell.estimate
        elif count.isdigit():
            label = name if model == "zero-shot" else f"{model} + {name}"
            models[label] = model
            lines.setdefault(label, []).append((int(count), cell.estimate))
    if sum(len(points) for points in lines.values()) < 2:
        return None
    figure, axes = _axes()
    apart = 0.012 * max(count for points in lines.values() for count, _ in points)
    for i, (colour, (label, points)) in enumerate(zip(_colours(), lines.items(), strict=False)):
        start = without.get(models[label])
        ordered = sorted([*points, *([(0, start)] if start else [])], key=lambda p: p[0])
        aside = (i - (len(lines) - 1) / 2) * apart  # keeps whiskers at the same x apart
        xs = [x + aside for x, _ in ordered]
        values = [_scaled(section.unit, e.value) for _, e in ordered]
        axes.plot(xs, values, color=colour, label=_short(label))
        for x, (_, e) in zip(xs, ordered, strict=True):
            _whisker(axes, e, x, colour)
    axes.set_xlabel("examples in the prompt")
    axes.set_ylabel(_label(section))
    axes.locator_params(axis="x", integer=True)
    axes.legend()
    return figure


def cost(section: Section, name: str, label: str) -> "Figure | None":
    """The deciding metric against a cost, for the rows whose cost is known."""
    points = [
        (spent[name], row, cell)
        for row, cell in zip(section.rows, section.cells, strict=False)
        if (spent := mean_cost(row)).get(name)
    ]
    if len({x for x, _, _ in points}) < 2:
        return None
    figure, axes = _axes()
    spots = [(x, _scaled(section.unit, cell.estimate.value)) for x, _, cell in points]
    top = max(_scaled(section.unit, cell.estimate.high) for _, _, cell in points) or 1.0
    lifts = _lifts(spots, 0.3 * max(x for x, _ in spots), 0.055 * top)
    for colour, (x, row, cell), spot, lift in zip(_colours(), points, spots, lifts, strict=False):
        _whisker(axes, cell.estimate, x, colour)
        away = (6, 4 + 10 * lift)
        axes.annotate(_short(row.name), spot, xytext=away, textcoords="offset points", color=INK, fontsize=8)
    axes.set_xlabel(label)
    axes.set_ylabel(_label(section))
    axes.margins(x=0.18)
    return figure


def _lifts(spots: Sequence[tuple[float, float]], wide: float, high: float) -> list[int]:
    """How many lines to lift each label so that labels nearer than `wide` and `high` do not overlap."""
    taken: list[tuple[float, float]] = []
    lifts = [0] * len(spots)
    for i in sorted(range(len(spots)), key=lambda i: spots[i][1]):
        x, y = spots[i]
        while any(abs(x - a) < wide and abs(y + high * lifts[i] - b) < high for a, b in taken):
            lifts[i] += 1
        taken.append((x, y + high * lifts[i]))
    return lifts


def groups(section: Section) -> "Figure | None":
    """Bars per group of problems, one colour per row."""
    names = sections.group_names(section)
    if len(names) < 2:
        return None
    rows = section.rows[: len(SERIES)]
    figure, axes = _axes()
    width = 0.8 / len(rows)
    for i, (colour, row) in enumerate(zip(SERIES, rows, strict=False)):
        for j, name in enumerate(names):
            found = sections.row_estimate(row, f"{section.metric}[{name}]")
            if found is not None:
                x = j - 0.4 + width * (i + 0.5)
                label = _short(row.name) if j == 0 else None
                axes.bar(x, _scaled(section.unit, found.value), width * 0.92, color=colour, label=label)
                _whisker(axes, found, x, INK, dot=False)
    axes.set_xticks(range(len(names)), [_short(name) for name in names])
    axes.set_ylabel(_label(section))
    if len(rows) > 1:
        axes.legend()
    return figure


def at_k(section: Section) -> "Figure | None":
    """pass@k (or em@k) against k."""
    stem = section.metric.partition("@")[0]
    found = (
        {
            row.name: sorted(
                (int(name.partition("@")[2]), estimate)
                for name in row.runs[0].summary.metrics
                if re.fullmatch(rf"{re.escape(stem)}@\d+", name)
                and (estimate := sections.row_estimate(row, name)) is not None
            )
            for row in section.rows
        }
        if "@" in section.metric
        else {}
    )
    if max(map(len, found.values()), default=0) < 2:
        return None
    figure, axes = _curves(found)
    axes.set_xlabel("k")
    axes.set_ylabel(f"{stem}@k, percent" if section.unit == "share" else f"{stem}@k")
    return figure


def thinking(section: Section) -> "Figure | None":
    """The first metric against the tokens that a reasoning model had for thought and answer."""
    found = {
        row.name: sorted(row.runs[0].summary.thinking_budget.items())
        for row in section.rows
        if row.runs[0].summary.thinking_budget
    }
    if not found:
        return None
    figure, axes = _curves(found)
    axes.set_xlabel("tokens for reasoning and answer")
    axes.set_ylabel("percent" if section.unit == "share" else "value")
    return figure


def _curves(found: Mapping[str, Sequence[tuple[int, Estimate]]]) -> "tuple[Figure, Axes]":
    """Lines of estimates with bands for their intervals, over a logarithmic axis with a tick a point."""
    figure, axes = _axes()
    for colour, (name, points) in zip(_colours(), found.items(), strict=False):
        xs = [x for x, _ in points]
        values, low, high = (
            [_scaled(e.unit, getattr(e, bound)) for _, e in points] for bound in ("value", "low", "high")
        )
        axes.plot(xs, values, color=colour, label=_short(name), marker="o", markersize=3)
        axes.fill_between(xs, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    ticks = sorted({x for points in found.values() for x, _ in points})
    axes.set_xticks(ticks, [str(x) for x in ticks])
    axes.minorticks_off()
    axes.legend()
    return figure, axes


def radar_of_metrics(section: Section) -> "Figure | None":
    """A share of each kind for every row; None where a table says it better: of few kinds, or of many rows."""
    if not 2 <= len(section.rows) <= MOST_LINES:
        return None
    kinds: dict[str, str] = {}  # pass@10 and em_ws@1 say what pass@1 and em@1 say, a little higher
    for name in sections.metric_names(section):
        found = [sections.row_estimate(row, name) for row in section.rows]
        if all(e is None or e.unit == "share" for e in found):
            kinds.setdefault(re.split("[@_]", name)[0], name)
    values = {}
    for row in section.rows:
        found = [sections.row_estimate(row, name) for name in kinds.values()]
        values[row.name] = [math.nan if e is None else 100 * e.value for e in found]
    return radar(list(kinds.values()), values)


def radar(axes_names: Sequence[str], values: Mapping[str, Sequence[float]]) -> "Figure | None":
    """One closed line per row over at least three axes, in percent."""
    if len(axes_names) < 3:
        return None
    with _style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, WIDTH * 0.72), layout="constrained")
        axes = figure.add_subplot(projection="polar")
        angles = [2 * math.pi * i / len(axes_names) for i in range(len(axes_names))]
        for colour, (name, numbers) in zip(_colours(), values.items(), strict=False):
            axes.plot([*angles, angles[0]], [*numbers, numbers[0]], color=colour, label=_short(name))
        axes.set_xticks(angles, [printable(name) for name in axes_names])
        axes.tick_params(axis="x", pad=8)
        axes.set_ylim(0)
        axes.set_rlabel_position(90)  # type: ignore[attr-defined]
        figure.legend(loc="outside lower center", ncols=2)
    return figure


# ---------------------------------------------------------------- drawing


@contextmanager
def _style(salt: str = "harness") -> Iterator[None]:
    import matplotlib
    from matplotlib import rc_context

    del matplotlib
    with rc_context(
        {
            "font.family": "sans-serif",
            "font.size": 9,
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "grid.color": FAINT,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "axes.axisbelow": True,
            "legend.frameon": False,
            "legend.fontsize": 8,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "auto",
        }
    ):
        yield


def _axes(height: float = HEIGHT) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _whisker(
    axes: "Axes", e: Estimate, at: float, colour: str, *, across: bool = False, dot: bool = True
) -> None:
    """A point with its interval, vertical or horizontal."""
    value, low, high = (_scaled(e.unit, figure) for figure in (e.value, e.low, e.high))
    spread = [[value - low], [high - value]]
    marker = "o" if dot else "none"
    if across:
        axes.errorbar(value, at, xerr=spread, fmt=marker, color=colour, capsize=3, markersize=5)
    else:
        axes.errorbar(at, value, yerr=spread, fmt=marker, color=colour, capsize=2, markersize=4, elinewidth=1)


def _colours() -> Iterator[str]:
    while True:
        yield from SERIES


def _scaled(unit: Unit, value: float) -> float:
    return 100 * value if unit == "share" else value


def _label(section: Section) -> str:
    return printable(f"{section.metric}, percent" if section.unit == "share" else section.metric)


def _short(name: str) -> str:
    shown = printable(name).replace("$", r"\$")  # matplotlib reads $ as mathematics
    return shown if len(shown) <= 34 else shown[:33] + "…"


# ---------------------------------------------------------------- output


def svg(figure: "Figure", name: str) -> str:
    """For a page: without an XML header, with the page's colour variables, so that it follows light and dark mode.

    `name` is the figure's own on its page: no two of its figures then have an id in common.
    """
    text = _svg(figure, name)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(
        r'(<svg[^>]*?) width="[^"]*"',
        r"\1",
        re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1),
        count=1,
    )
    text = text.replace(INK, "var(--ink)").replace(FAINT, "var(--line)")
    for i, colour in enumerate(SERIES):
        text = text.replace(colour, f"var(--s{i + 1})")
    return text.replace("sans-serif", "inherit")


def _svg(figure: "Figure", name: str) -> str:
    out = io.StringIO()
    with _style(name):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def write(figures: Mapping[str, "Figure"], folder: Path) -> list[Path]:
    """Each figure as NAME.svg and NAME.png (200 dots an inch, on white)."""
    from harness.runs.store.atomic import write_atomic

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures.items():
        path = folder / f"{name}.svg"
        write_atomic(path, _svg(figure, name))
        with _style():
            figure.savefig(path.with_suffix(".png"), dpi=200, facecolor="white", metadata={"Software": None})
        written += [path, path.with_suffix(".png")]
    return written
