"""The commands that read finished runs: report, compare, gate."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import check_writable, echo, local_path
from harness.cli.output import json_option, print_json, print_result, quiet_option
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.results.baseline import Rules
    from harness.results.report.sections import Section

ALL = "all"  # in place of a metric's name


@click.command()
@click.argument("runs", nargs=-1, required=True, callback=local_path)
@click.option(
    "--format",
    "form",
    type=click.Choice(["terminal", "html", "md", "csv", "json"]),
    help="Default: by the extension of --out, else a table in the terminal.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE instead of printing."
)
@click.option("--metric", default="", metavar="NAME", help="The metric to rank and test by, on the page.")
@click.option(
    "--plots", "plot_dir", type=click.Path(path_type=Path), metavar="DIR", help="Write plots as SVG and PNG."
)
@click.option("--paper", "papers", multiple=True, metavar="ID", help="Add a paper's tables: 2308.10462 ...")
@click.option(
    "--cutoff", default="", metavar="DAY", help="Compare problems before and after a model's cut-off date."
)
@quiet_option
def report(
    runs: Sequence[Path],
    form: str | None,
    out: Path | None,
    metric: str,
    plot_dir: Path | None,
    papers: Sequence[str],
    cutoff: str,
) -> None:
    """Show finished runs (or folders of them) as an HTML page, a table, Markdown, CSV or JSON."""
    from harness.results.report import FORMATS, terminal
    from harness.runs.store import reader
    from harness.runs.store.atomic import write_atomic
    from harness.runs.store.run_folder import read_run

    folders = reader.find_runs(runs)
    by_name = {".html": "html", ".md": "md", ".csv": "csv", ".json": "json"}
    form = form or (by_name.get(out.suffix, "terminal") if out else "terminal")
    if papers and form != "html":
        raise UserError("--paper is for the page: give --out FILE.html or --format html")
    if cutoff and form not in ("html", "terminal"):
        raise UserError("--cutoff is for the page and the terminal: give --out FILE.html, or neither")
    if cutoff:
        from harness.results.report import cutoff as cut

        cutoff = cut.day(cutoff)
    sections, skipped = sections_of(folders, metric) if form == "html" or plot_dir or cutoff else ([], [])
    if plot_dir:
        _write_plots(sections, plot_dir)
    if form == "html":
        write_page(sections, skipped, out or folders[0] / "report.html", papers, cutoff)
        return
    if plot_dir and out is None and not cutoff:
        return
    summaries = [read_run(folder)[1] for folder in folders]
    text = terminal.render(summaries) if form == "terminal" else FORMATS[form](summaries)
    if cutoff:
        text += "".join(f"{line}\n" for line in cut.lines(sections, cutoff))
    if out is None and form == "terminal":
        click.echo(text, nl=False)
    elif out is None:
        print_result(text)
    else:
        write_atomic(check_writable(out, "--out"), text)
        echo(f"wrote {out}")


def sections_of(
    folders: Sequence[Path], metric: str, *, ranked: bool = False
) -> "tuple[list[Section], list[str]]":
    """Runs grouped for a report; those that cannot be read, or `ranked` because they were stopped, are named and
    skipped."""
    from harness.results import early_stop
    from harness.results.report.sections import make_sections
    from harness.runs.store import reader

    read, skipped = reader.read_all(folders)
    if ranked:
        read, stopped = early_stop.without_stopped(read)
        skipped += stopped
    for line in skipped:
        click.echo(f"warning: {line}", err=True)
    if not read:
        raise UserError("no run could be read: nothing to report")
    return make_sections(read, metric, ranked=ranked), skipped


def write_page(
    sections: "Sequence[Section]", skipped: Sequence[str], out: Path, papers: Sequence[str], day: str = ""
) -> None:
    """The page of these runs. Raises UserError."""
    from harness.results.report import page
    from harness.runs.store.atomic import write_atomic

    write_atomic(check_writable(out, "--out"), page.render(sections, skipped, papers, day))
    echo(f"wrote {out}")


def _write_plots(sections: "Sequence[Section]", out: Path) -> None:
    """The page's plots as files of their own."""
    from harness.results.report import page, plots

    for section in sections:
        folder = out / page.anchor(section) if len(sections) > 1 else out
        for path in plots.write(plots.all_of(section), folder):
            echo(f"wrote {path}")


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, callback=local_path)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="This metric, or 'all'; repeatable. Default: a few.",
)
@click.option("--reference", default="", metavar="RUN_ID", help="The run that others are compared with.")
@click.option("--task", default="", metavar="NAME", help="Only the runs of this task.")
@click.option(
    "--cluster/--no-cluster", default=None, help="Sample problems in clusters. Default: as the task says."
)
@click.option("--flips", default=3, metavar="N", help="Flipped problems to show, both answers side by side.")
@json_option
@quiet_option
def compare_command(
    runs: Sequence[Path],
    metrics: Sequence[str],
    reference: str,
    task: str,
    cluster: bool | None,
    flips: int,
    as_json: bool,
) -> None:
    """Paired differences to the zero-shot run, else to the first: intervals, p-values, cost, flipped problems."""
    from harness.errors import unknown
    from harness.results import compare, external
    from harness.results.report import comparison
    from harness.results.rows import in_order
    from harness.runs.store import reader

    left: list[str] = []
    if external.all_external(runs):
        found, flipped = external.compare_results([external.read_result(path) for path in runs], metrics), []
    else:
        read = [reader.read(folder) for folder in reader.find_runs(runs)]
        of_task = [run for run in read if task in ("", run.summary.task)]
        if not of_task:
            raise UserError(f"--task: {unknown('task among the runs', task, {r.summary.task for r in read})}")
        if reference and reference not in (names := [run.run_id for run in of_task]):
            raise UserError(f"--reference: {unknown('run', reference, names)}")
        of_task = in_order(of_task, reference)
        if not metrics and not as_json:
            metrics = compare.headline_metrics(of_task)
            left = [name for name in of_task[0].reduces if name not in metrics]
        found = compare.compare(of_task, () if ALL in metrics else metrics, clustered=cluster)
        flipped = list(compare.flips(found, next(iter(found.cells)))) if found.cells else []
    if as_json:
        print_json(compare.as_json(found, flipped))
    else:
        click.echo(comparison.render(found, flipped, flips), nl=False)
        if left:
            click.echo(f"further metrics (--metric NAME, or --metric {ALL}): {', '.join(left)}")


@click.command("gate")
@click.argument("run", callback=local_path)
@click.option("--baseline", required=True, type=click.Path(path_type=Path), metavar="FILE")
@click.option("--write", is_flag=True, help="Write the baseline from the run, with the rules given.")
@click.option("--smoke", type=int, metavar="N", help="With --write: only N problems, stratified.")
@click.option("--margin", "margins", multiple=True, metavar="METRIC=X", help="Largest loss allowed.")
@click.option("--floor", "floors", multiple=True, metavar="METRIC=X", help="Worst value allowed.")
@click.option("--ceiling", "ceilings", multiple=True, metavar="COST=X", help="Largest cost per sample.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML.")
@click.option("--summary", type=click.Path(path_type=Path), metavar="FILE", help="Write Markdown.")
@click.option(
    "--comment",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a pull request's comment: the same, and the flipped problems with their answers folded.",
)
@click.option(
    "--before",
    callback=local_path,
    metavar="RUN",
    help="With --comment: the baseline's own run, whose answers are shown beside.",
)
@json_option
@quiet_option
def gate_command(
    run: Path, baseline: Path, write: bool, smoke: int | None, before: Path | None, **flags: Any
) -> None:
    """Compare a run with a baseline. Exit code: 0 passed, 1 regression, 3 could not be judged, 4 not comparable."""
    from harness.results import baseline as baseline_file
    from harness.results import gate
    from harness.results.report import ci, pull_request
    from harness.runs.store.atomic import write_atomic

    kinds = ("margins", "floors", "ceilings")
    rules = baseline_file.Rules(
        **{kind: dict(baseline_file.parse_rule(item, kind[:-1]) for item in flags[kind]) for kind in kinds}
    )
    if smoke is not None and not write:
        raise UserError("--smoke selects the problems of a new baseline: add --write")
    if before and not flags["comment"]:
        raise UserError("--before gives the answers that a comment shows: add --comment FILE")
    if write and flags["as_json"]:
        raise UserError("--json prints a verdict, and --write makes a baseline: leave one out")
    if write:
        _write_baseline(run, baseline, rules, smoke)
        return
    held = baseline_file.read_baseline(baseline)
    found = gate.gate(run, held, rules)
    if path := flags["junit"]:
        write_atomic(check_writable(path, "--junit"), ci.junit(found))
    if path := flags["summary"]:
        write_atomic(check_writable(path, "--summary"), ci.markdown(found))
    if path := flags["comment"]:
        text = pull_request.comment(found, run, held, before)
        write_atomic(check_writable(path, "--comment"), text)
    if step := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(ci.markdown(found))
    if flags["as_json"]:
        print_json({**asdict(found), "exit_code": found.exit_code})
        sys.exit(found.exit_code)
    lines = ci.annotations(found) if os.environ.get("GITHUB_ACTIONS") == "true" else ()
    for line in (*ci.lines(found), *lines):
        click.echo(line)
    click.echo(f"{found.outcome}: {found.run_id} against {found.baseline_id}")
    sys.exit(found.exit_code)


def _write_baseline(run: Path, baseline: Path, rules: "Rules", smoke: int | None) -> None:
    from harness.results.baseline import dump_baseline, make_baseline
    from harness.results.report import comparison
    from harness.results.smoke import subset
    from harness.runs.store import reader
    from harness.runs.store.atomic import write_atomic

    read = reader.read(run)
    chosen = subset(read, smoke) if smoke is not None else None
    text = dump_baseline(make_baseline(read, rules, chosen.problems if chosen else ()))
    write_atomic(check_writable(baseline, "--baseline"), text)
    echo(f"wrote {baseline}")
    if chosen:
        n = len(chosen.problems)
        power = comparison.minimum_detectable(chosen.unit, chosen.detectable, n)
        click.echo(f"{n} of {len(read.samples)} problems from {chosen.strata} strata; {power}")
