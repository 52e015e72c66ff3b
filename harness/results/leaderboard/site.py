"""The leaderboard's pages: models by tasks, a page a model, a page a task, and the samples behind each.

Templates escape what they are given. No page asks for anything but itself, and links are relative.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from markupsafe import Markup

from harness.results.leaderboard import files
from harness.results.leaderboard.files import Notes, interval_text, percent, rank_text
from harness.results.leaderboard.matrix import ModelRow, pareto_front, versions
from harness.results.leaderboard.rows import RANK_NOTE, LeaderboardRow
from harness.results.leaderboard.submissions import Group
from harness.results.report import page, templates
from harness.results.report.sections import Section, run_names
from harness.results.report.tables import figure, listed

ASSETS = Path(__file__).resolve().parent / "assets"
WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT = 620, 300, 46, 34, 150  # of a scatter plot; what its axes and names take
LOGARITHMIC = 20  # a cost that spans more than so many times is drawn on a logarithmic scale
MAX_STEM = 100  # characters of a page's file name that are the model's
LABELS = 12  # names in a plot at most; of the others by pointing at them


@dataclass(frozen=True)
class Board:
    """What the pages are made of. `skipped`: a line for each run or submission that is not in it."""

    sections: Sequence[Section]
    rows: Sequence[LeaderboardRow]
    models: Sequence[ModelRow]
    notes: Notes
    skipped: Sequence[str]
    reports: bool  # whether a report with all samples is written for each task

    @cached_property
    def tasks(self) -> list[tuple[Section, list[LeaderboardRow]]]:
        of_task = {section.title: list[LeaderboardRow]() for section in self.sections}
        for row in self.rows:
            of_task[row.task].append(row)
        return [(section, of_task[section.title]) for section in self.sections]

    @cached_property
    def model_pages(self) -> dict[str, str]:
        """File name of each line's page, by the line's name."""
        found: dict[str, str] = {}
        taken = set[str]()
        for row in self.models:
            stem = _stem(row.name)
            names = itertools.chain([f"{stem}.html"], (f"{stem}-{i}.html" for i in itertools.count(2)))
            found[row.name] = next(name for name in names if name not in taken)
            taken.add(found[row.name])
        return found


def _stem(name: str) -> str:
    """Of a model's page; a long name is cut and told apart by its digest, as file systems take 255 bytes."""
    stem = "model-" + "".join(c if c.isalnum() and c.isascii() else "-" for c in name.lower())
    if len(stem) <= MAX_STEM:
        return stem
    return f"{stem[:MAX_STEM]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def pages(board: Board, out: Path) -> Iterator[tuple[str, str]]:
    """(file name, HTML), one at a time: a board of 2,000 models has as many pages."""
    write = _Writer(board, out)
    yield "index.html", write.index()
    for section, rows in board.tasks:
        yield f"{page.anchor(section)}.html", write.task(section, rows)
        if board.reports:
            yield f"report-{page.anchor(section)}.html", page.render([section])
    for row in board.models:
        yield board.model_pages[row.name], write.model(row)


class _Writer:
    def __init__(self, board: Board, out: Path) -> None:
        self.board, self.out = board, out
        self.task_pages = {section.title: f"{page.anchor(section)}.html" for section in board.sections}
        self.run_names = {
            run.folder: name
            for section in board.sections
            for run, name in zip(section.runs, run_names([section]), strict=True)
        }
        self.script = templates.asset("leaderboard.js", ASSETS)
        self.versions = versions(board.models)
        self.templates = templates.environment(
            ASSETS,
            rank_text=rank_text,
            interval_text=interval_text,
            percent=percent,
            shown=_shown,
            figure=lambda row: figure(row.unit, row.value),
            told=_told,
            task_page=lambda title: self.task_pages[title],
            row_id=lambda row: "row-" + board.model_pages[row.name].removesuffix(".html"),
            model_page=lambda name: board.model_pages.get(name, ""),
            report=self._report,
            number="{:g}".format,
        )

    def _render(self, template: str, title: str, **values: Any) -> str:
        body = self.templates.get_template(template).render(title=title, **values)
        return page.frame(title, Markup(body), self.script)

    def index(self) -> str:
        board = self.board
        tasks = [section.title for section in board.sections]
        best = board.models[0] if board.models else None
        places = [
            (row.name, board.model_pages[row.name], row.size, 100 * row.win_rate)
            for row in board.models
            if row.size and row.win_rate is not None
        ]
        return self._render(
            "index.html",
            "Leaderboard",
            answer=_answer(board, best),
            note=RANK_NOTE,
            skipped=board.skipped,
            notes=[(title, said) for title, said in board.notes.items() if said],
            tasks=[(section.title, section.metric, section.unit) for section in board.sections],
            models=board.models,
            sizes=any(row.size for row in board.models),
            dates=any(row.date for row in board.models),
            groups=[group for group in get_args(Group) if any(row.group == group for row in board.models)],
            single=len(tasks) == 1,
            plot=_scatter("Mean win rate against size", "parameters, billions", "mean win rate, %", places),
            parquet=files.parquet_there(),
        )

    def task(self, section: Section, rows: Sequence[LeaderboardRow]) -> str:
        here = [row for row in rows if row.rank]
        unit = f"{section.metric}, %" if section.unit == "share" else section.metric
        scale = 100 if section.unit == "share" else 1
        plots = []
        for what, label, costs in (
            ("size", "parameters, billions", [row.card.size if row.card else None for row in here]),
            ("the length of the prompt", "tokens a sample", [row.prompt_tokens for row in here]),
        ):
            places = [
                (row.name, self.board.model_pages[row.name], cost, scale * row.value)
                for row, cost in zip(here, costs, strict=True)
                if cost
            ]
            plots.append(
                _scatter(f"{section.metric} against {what}", label, unit, places, section.lower_is_better)
            )
        return self._render(
            "task.html",
            section.title,
            answer=_first_place(section, here),
            metric=section.metric,
            problems=len(section.runs[0].samples),
            here=here,
            elsewhere=[row for row in rows if not row.rank],
            notes=self.board.notes.get(section.title, ()),
            note=RANK_NOTE,
            sizes=any(row.card and row.card.size for row in here),
            plots=[plot for plot in plots if plot],
            whole=f"report-{self.task_pages[section.title]}" if self.board.reports else "",
        )

    def model(self, row: ModelRow) -> str:
        name = row.card.version_of if row.card else ""
        of_family = self.versions.get(name, [])
        return self._render(
            "model.html",
            row.name,
            row=row,
            card=row.card,
            cells=list(row.cells.values()),
            family=name,
            versions=of_family,
            titles=[title for title in self.task_pages if any(title in one.cells for one in of_family)],
        )

    def _report(self, row: LeaderboardRow) -> list[tuple[str, str]]:
        """Where a row's samples can be read: (address, what it is)."""
        found = []
        if self.board.reports and row.runs:
            name = quote(self.run_names[row.runs[0]])
            found.append((f"report-{self.task_pages[row.task]}#run={name}", "samples"))
        for run in row.runs:
            if (run / "report.html").is_file():
                path = os.path.relpath(run / "report.html", self.out)
                found.append((quote(path), "report"))  # a colon too: never taken for a scheme
        return found


# ---------------------------------------------------------------- sentences


def _answer(board: Board, best: ModelRow | None) -> str:
    cells = sum(len(row.cells) for row in board.models)
    tasks = len(board.sections)
    of_all = "" if cells == len(board.models) * tasks else f" ({cells} of {len(board.models) * tasks} pairs)"
    said = f"{len(board.models)} models on {tasks} {'task' if tasks == 1 else 'tasks'}{of_all}."
    if best is None or best.win_rate is None:
        return said
    first = [row.name for row in board.models if row.win_rate == best.win_rate]
    has = "have" if len(first) > 1 else "has"
    return f"{said} {listed(first)} {has} the highest mean win rate: {percent(best.win_rate)}."


def _first_place(section: Section, here: Sequence[LeaderboardRow]) -> str:
    if not here:
        return "No metrics: no sample could be judged."
    best = here[0]
    same = [row.name for row in here if row.value == best.value]
    if len(same) > 1:
        return f"{listed(same)} share the first place on {section.metric} with {_shown(best)}."
    said = f"{best.name} is first on {section.metric} with {_shown(best)} ({interval_text(best)})."
    if (tied := best.rank_to - 1) and len(here) > 1:
        near = [row.name for row in here[1:] if row.rank == 1]
        if len(near) < tied:
            near = [f"{tied} others", *([f"among them {', '.join(near[:3])}"] if near else [])]
            said += f" The paired test does not tell it from {', '.join(near)}."
        else:
            said += f" The paired test does not tell it from {listed(near)}."
    return said


def _shown(row: LeaderboardRow) -> str:
    return figure(row.unit, row.value) + (" %" if row.unit == "share" else "")


def _told(row: LeaderboardRow) -> str:
    """A cell in full, for who points at it."""
    lines = [
        f"{row.name}, {row.task}",
        f"{row.metric} {_shown(row)}, 95 % interval {interval_text(row)}",
        f"rank {rank_text(row)}, {row.n} problems" + (f", {row.seeds} seeds" if row.seeds > 1 else ""),
        *row.remarks,
    ]
    return "; ".join(lines)


# ---------------------------------------------------------------- plots


def _scatter(
    title: str,
    x_label: str,
    y_label: str,
    places: Sequence[tuple[str, str, float, float]],
    lower_is_better: bool = False,
) -> Mapping[str, Any] | None:
    """What the template draws: (name, address, cost, value) as points, the Pareto front as a line. None for less than
    two."""
    if len(places) < 2:
        return None
    costs, values = [place[2] for place in places], [place[3] for place in places]
    logarithmic = max(costs) > LOGARITHMIC * min(costs)
    spread = [log(cost) if logarithmic else cost for cost in costs]
    xs = _scaled(spread, LEFT + 12, WIDTH - RIGHT)
    ys = [HEIGHT - BOTTOM - (y - 12) for y in _scaled(values, 12, HEIGHT - BOTTOM - 12)]
    front = pareto_front(list(zip(costs, values, strict=True)), lower_is_better)
    named = _named(front, xs, ys)
    points = [
        {"name": name, "page": address, "x": x, "y": y, "front": i in front, "named": i in named,
         "told": f"{name}: {value:.1f} at {cost:g}"}
        for i, ((name, address, cost, value), x, y) in enumerate(zip(places, xs, ys, strict=True))
    ]  # fmt: skip
    ends = [f"{min(costs):g}", f"{max(costs):g}", f"{min(values):.1f}", f"{max(values):.1f}"]
    return {
        "title": title,
        "x_label": x_label + (" (logarithmic)" if logarithmic else ""),
        "y_label": y_label,
        "points": points,
        "front": " ".join(f"{xs[i]:.1f},{ys[i]:.1f}" for i in front),
        "front_names": [places[i][0] for i in front],
        "ends": ends,
        "size": (WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT),
    }


def _named(front: Sequence[int], xs: Sequence[float], ys: Sequence[float]) -> set[int]:
    """The points whose names have room beside them: those on the front before the others."""
    found: list[int] = []
    for i in (*front, *(i for i in range(len(xs)) if i not in front)):
        if len(found) == LABELS:
            break
        if all(abs(ys[i] - ys[j]) >= 11 or abs(xs[i] - xs[j]) >= RIGHT for j in found):
            found.append(i)
    return set(found)


def _scaled(values: Sequence[float], low: float, high: float) -> list[float]:
    least, most = min(values), max(values)
    span = most - least or 1.0
    return [low + (high - low) * (value - least) / span for value in values]
