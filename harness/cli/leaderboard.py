"""The command that ranks models: what was handed in is judged where it is new, and a static site is written."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.options import (
    data_option,
    echo,
    flags_to_keys,
    local_path,
    parse_config,
    set_dotted,
    sets_option,
)
from harness.cli.output import quiet_option, show_progress
from harness.cli.results import sections_of
from harness.errors import ConfigError, UserError

if TYPE_CHECKING:
    from harness.results.external import ExternalResult
    from harness.results.leaderboard.site import Board
    from harness.results.leaderboard.submissions import Submission
    from harness.results.report.sections import Section

REPORTS = 60  # rows on a task up to which a report with all their samples is written


@click.command("leaderboard")
@click.argument("folder", callback=local_path)
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: FOLDER/leaderboard.")
@click.option("--metric", default="", metavar="NAME", help="The metric to rank by, for tasks that have it.")
@click.option("--published", "with_papers", is_flag=True, help="Add the papers' rows, marked as published.")
@click.option(
    "--samples/--no-samples",
    default=None,
    help=f"Write a report with all samples for each task. Default: for tasks with at most {REPORTS} rows.",
)
@data_option
@sets_option
@quiet_option
def leaderboard_command(
    folder: Path,
    out: Path | None,
    metric: str,
    with_papers: bool,
    samples: bool | None,
    sets: Sequence[str],
    **flags: Any,
) -> None:
    """Rank every submission and run below a folder: new recordings are judged; a static site, CSV, JSON, Markdown."""
    from harness.results.leaderboard import matrix, rows, site, submissions
    from harness.results.report import published

    out = out or folder / "leaderboard"
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {str(out)!r} is a file; the site needs a folder")
    handed_in, skipped = submissions.find(folder)
    skipped += _judge_new(handed_in, flags, sets)
    for line in skipped:
        click.echo(f"warning: {line}", err=True)
    folders = submissions.runs_of(folder, handed_in)
    if not folders:
        raise ConfigError(
            f"{folder} holds no run: no run.json in it or below, and no submission with completions"
        )
    sections, unread = sections_of(folders, metric, ranked=True)
    cards = submissions.cards(folders, handed_in)
    sections = [rows.with_card_names(section, cards) for section in sections]
    papers = published.papers() if with_papers else []
    found = rows.make_rows(
        sections, list(published.published_values(papers)), list(_imported(folder, sections)), cards
    )
    board = site.Board(
        sections,
        found,
        matrix.model_rows(found),
        {
            section.title: [*rows.fault_notes(section), *rows.published_notes(section, papers)]
            for section in sections
        },
        [*skipped, *unread],
        all(len(section.rows) <= REPORTS for section in sections) if samples is None else samples,
    )
    count = _write(board, out)
    models, tasks = _counted(board.models, "model"), _counted(sections, "task")
    echo(f"{models}, {tasks}; wrote {out / 'index.html'} and {count - 1} more files")


def _counted(those: Sequence[Any], word: str) -> str:
    return f"{len(those)} {word}" + ("" if len(those) == 1 else "s")


def _judge_new(handed_in: "Sequence[Submission]", flags: dict[str, Any], sets: Sequence[str]) -> list[str]:
    """Judge the recordings that were not yet; returns a line for each that is left out."""
    from harness.results.leaderboard import judging
    from harness.runs import run

    new = judging.to_judge(handed_in)
    settings: dict[str, Any] = {}
    set_dotted(settings, flags_to_keys(flags))

    def judge(plain: dict[str, Any], out: Path) -> None:
        echo(f"judging {plain['backend']['path']}")
        with show_progress() as step:
            run.run(parse_config(plain, sets, "--set"), out, step)

    return list(judging.judge(new, settings, judge))


def _imported(folder: Path, sections: "Sequence[Section]") -> "Iterator[ExternalResult]":
    """What other tools reported, with a warning for what is about nothing here."""
    from harness.results import external
    from harness.results.leaderboard import rows

    for path in sorted(folder.rglob(f"*{external.SUFFIX}")):
        try:
            one = external.read_result(path)
        except ConfigError as error:
            click.echo(f"warning: skipped {error}", err=True)
            continue
        if not any(rows.external_rows(one, section) for section in sections):
            click.echo(
                f"warning: skipped {one.source}: no run here has task {one.task!r}, its metric in its unit and {one.n}"
                " problems",
                err=True,
            )
        yield one


def _write(board: "Board", out: Path) -> int:
    from harness.results.leaderboard import files, site
    from harness.runs.store.atomic import make_folder, replace_file, write_atomic

    make_folder(out)
    count = 0
    for name, text in site.pages(board, out):
        write_atomic(out / name, text)
        count += 1
    for name, made in (
        ("leaderboard.csv", files.csv_text(board.rows).encode()),
        ("leaderboard.json", files.json_text(board.rows, board.models).encode()),
        ("leaderboard.md", files.markdown(board.rows, board.models, board.notes).encode()),
        ("leaderboard.parquet", files.parquet_bytes(board.rows)),
    ):
        if made is not None:
            replace_file(out / name, [made])
            count += 1
    return count
