"""The commands that read finished runs: report, leaderboard, compare, gate."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.options import check_writable, echo, local_path
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.results.report.sections import Section


@click.command()
@click.argument("runs", nargs=-1, required=True, callback=local_path)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "html", "md", "csv", "json"]),
    help="Default: by the name of --out, else a table in the terminal.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there instead of printing."
)
@click.option("--metric", default="", metavar="NAME", help="The metric that decides, on the page.")
@click.option("--plots", type=click.Path(path_type=Path), metavar="DIR", help="Write plots as SVG and PNG.")
@click.option(
    "--reference", "papers", multiple=True, metavar="ID", help="A paper's tables beside: 2308.10462 ..."
)
def report(
    runs: Sequence[Path],
    form: str | None,
    out: Path | None,
    metric: str,
    plots: Path | None,
    papers: Sequence[str],
) -> None:
    """Finished runs (or folders of them) as one HTML page: report.html; or as a table, Markdown, CSV, JSON."""
    from harness.results import report as reports
    from harness.results.report import terminal
    from harness.runs.store import folder as store
    from harness.runs.store import reader

    folders = reader.find(runs)
    by_name = {".html": "html", ".md": "md", ".csv": "csv", ".json": "json"}
    form = form or (by_name.get(out.suffix, "terminal") if out else "terminal")
    if papers and form != "html":
        raise UserError("--reference is for the page: give --out FILE.html or --format html")
    if form == "html" or plots:
        out_page = (out or folders[0] / "report.html") if form == "html" else None
        _page(folders, out_page, metric, plots, papers)
        if form == "html" or out is None:
            return
    summaries = [store.read_run(folder)[1] for folder in folders]
    text = terminal.render(summaries) if form == "terminal" else reports.FORMATS[form](summaries)
    if out is None:
        click.echo(text, nl=False)
    else:
        store.write_atomic(check_writable(out, "--out"), text)
        echo(f"wrote {out}")


def _sections(folders: Sequence[Path], metric: str) -> "tuple[list[Section], list[str]]":
    """Runs sorted for a report; those that cannot be read are named and left out."""
    from harness.results.report import sections as gathered
    from harness.runs.store import reader

    read, left_out = reader.read_all(folders)
    for line in left_out:
        click.echo(f"warning: {line}", err=True)
    if not read:
        raise UserError("no run could be read: nothing to report")
    return gathered.make_sections(read, metric), left_out


def _page(
    folders: Sequence[Path], out: Path | None, metric: str, plots: Path | None, papers: Sequence[str]
) -> None:
    from harness.results.report import page as pages
    from harness.results.report import plots as plotted
    from harness.results.report import published as reference
    from harness.runs.store import folder as store

    sections, left_out = _sections(folders, metric)
    if plots:
        for section in sections:
            folder = plots / pages.anchor(section) if len(sections) > 1 else plots
            for path in plotted.write(plotted.all_of(section), folder):
                echo(f"wrote {path}")
    if out:
        extra = [reference.html(paper, sections) for paper in papers]
        store.write_atomic(check_writable(out, "--out"), pages.render(sections, left_out, extra))
        echo(f"wrote {out}")


@click.command("leaderboard")
@click.argument("folder", callback=local_path)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: FOLDER/leaderboard.")
@click.option("--metric", default="", metavar="NAME", help="The metric that decides, where a task has it.")
@click.option("--published", is_flag=True, help="Add the papers' rows, marked as published.")
def leaderboard_command(folder: Path, out: Path | None, metric: str, published: bool) -> None:
    """Rank every run below a folder: a static site, leaderboard.csv and leaderboard.md. Ties are shown as ties."""
    from harness.results import external
    from harness.results.report import leaderboard
    from harness.results.report import published as reference
    from harness.runs.store import folder as store
    from harness.runs.store import reader

    sections, left_out = _sections(reader.find([folder]), metric)
    papers = sorted(path.stem for path in reference.FOLDER.glob("*.json")) if published else []
    read = [external.read_result(path) for path in sorted(folder.rglob(f"*{external.SUFFIX}"))]
    for one in read:
        if not any(leaderboard.external_rows(one, section) for section in sections):
            click.echo(
                f"warning: left out {one.source}: no run here has its task {one.task!r}, metric and {one.n} problems",
                err=True,
            )
    found = leaderboard.make_rows(sections, list(reference.published_values(papers)), read)
    out = out or folder / "leaderboard"
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; a site needs a folder")
    out.mkdir(parents=True, exist_ok=True)
    files = {
        **leaderboard.site(sections, found, left_out, out),
        "leaderboard.csv": leaderboard.csv_text(found),
        "leaderboard.md": leaderboard.markdown(found),
    }
    for name, text in files.items():
        store.write_atomic(out / name, text)
    echo(f"wrote {out / 'index.html'} and {len(files) - 1} more files")


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, callback=local_path)
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Only this metric; may be repeated.")
@click.option("--task", default="", metavar="NAME", help="Of the runs found, only those of this task.")
@click.option("--cluster", is_flag=True, help="Resample problems of one group together.")
@click.option("--flips", default=3, metavar="N", help="Flipped items to show, both answers side by side.")
@click.option("--json", "as_json", is_flag=True, help="Everything, for programs.")
def compare_command(
    runs: Sequence[Path], metrics: Sequence[str], task: str, cluster: bool, flips: int, as_json: bool
) -> None:
    """Paired differences to the first run, or of folders of runs to the one without help: intervals, p-values, cost,
    flipped items."""
    from harness.errors import unknown
    from harness.results import compare, external
    from harness.results.report import comparison as shown
    from harness.runs.store import reader

    if external.all_external(runs):
        found, flipped = external.compare_results([external.read_result(path) for path in runs], metrics), []
    else:
        folders = reader.find(runs)
        read = [reader.read(folder) for folder in folders]
        if len(folders) > len(runs):  # folders of runs: nobody has put these in order
            read = compare.reference_first(read)
        of_task = [run for run in read if task in ("", run.summary.task)]
        if not of_task:
            raise UserError(f"--task: {unknown('task among the runs', task, {r.summary.task for r in read})}")
        found = compare.compare(of_task, metrics, clustered=cluster)
        flipped = list(compare.flips(found, next(iter(found.cells)))) if found.cells else []
    if as_json:
        click.echo(json.dumps(compare.as_json(found, flipped), indent=2, ensure_ascii=False))
    else:
        click.echo(shown.render(found, flipped, flips), nl=False)


@click.command("gate")
@click.argument("run", callback=local_path)
@click.option("--baseline", required=True, type=click.Path(path_type=Path), metavar="FILE")
@click.option("--write", is_flag=True, help="Make the baseline from the run, with the rules given.")
@click.option("--smoke", type=int, metavar="N", help="With --write: only N problems, stratified.")
@click.option("--margin", "margins", multiple=True, metavar="METRIC=X", help="Largest true loss allowed.")
@click.option("--floor", "floors", multiple=True, metavar="METRIC=X", help="Least value allowed.")
@click.option("--ceiling", "ceilings", multiple=True, metavar="COST=X", help="Most a sample may cost.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML there.")
@click.option("--summary", type=click.Path(path_type=Path), metavar="FILE", help="Write Markdown there.")
def gate_command(
    run: Path,
    baseline: Path,
    write: bool,
    smoke: int | None,
    junit: Path | None,
    summary: Path | None,
    **given: Sequence[str],
) -> None:
    """Hold a run against a baseline: 0 as good, 1 worse, 3 could not be judged, 4 not comparable."""
    from harness.results import gate
    from harness.results.report import ci as shown
    from harness.runs.store import folder as store
    from harness.runs.store import reader

    rules = gate.Rules(
        **{kind: dict(gate.parse_rule(item, kind[:-1]) for item in items) for kind, items in given.items()}
    )
    if smoke is not None and not write:
        raise UserError("--smoke chooses the problems of a new baseline: give --write too")
    if write:
        read = reader.read(run)
        chosen = gate.subset(read, smoke) if smoke is not None else None
        text = gate.dump_baseline(gate.make_baseline(read, rules, chosen.problems if chosen else ()))
        store.write_atomic(check_writable(baseline, "--baseline"), text)
        echo(f"wrote {baseline}")
        if chosen:
            click.echo(
                f"{len(chosen.problems)} of {len(read.samples)} problems from {chosen.strata} strata; they find a true"
                f" difference of {100 * chosen.detectable:.1f} points in 4 of 5 cases"
            )
        return
    found = gate.gate(run, gate.read_baseline(baseline), rules)
    if junit:
        store.write_atomic(check_writable(junit, "--junit"), shown.junit(found))
    if summary:
        store.write_atomic(check_writable(summary, "--summary"), shown.markdown(found))
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(shown.markdown(found))
    lines = shown.annotations(found) if os.environ.get("GITHUB_ACTIONS") == "true" else ()
    for line in (*shown.lines(found), *lines):
        click.echo(line)
    click.echo(f"{found.outcome}: {found.run_id} against {found.baseline_id}")
    sys.exit(found.exit_code)
