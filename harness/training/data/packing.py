"""Token rows -> windows -> batches: pad, dynamic, pack, concat. Nothing is lost or learnt twice, tasks never mix.

A row is one sample's tokens, a window what lies in one line of a batch. Packing is next-fit in the order of
the rows, with the open window closed at the end of each task (MFTCoder's own code leaks it into the next
task). Windows stay lists of rows here; tensors are made by `tokenize.collate`.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.errors import DataError
from harness.training.config import PackingConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[np.int32]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class TokenRow:
    """One sample: token ids, and for each whether predicting it is learnt; both [tokens].

    `source` are an encoder's ids, for encoder-decoder models only.
    """

    ids: "Ids"
    learnt: "Flags"
    task: int = 0
    source: "Ids | None" = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        return max(len(self.ids), 0 if self.source is None else len(self.source))

    def cut(self, start: int, end: int | None) -> "TokenRow":
        return replace(self, ids=self.ids[start:end], learnt=self.learnt[start:end])


Window = tuple[TokenRow, ...]
Batch = Sequence[Window]


@dataclass
class PackingReport:
    """What became of one task's rows. `cells` is windows times their width, as far as it is known before batching."""

    task: str
    rows: int = 0
    dropped: int = 0
    truncated: int = 0
    nothing_learnt: int = 0
    windows: int = 0
    tokens: int = 0
    learnt: int = 0
    padding: float = field(default=0.0)  # share of the cells that hold no token


def window_width(window: Window) -> int:
    return sum(len(row) for row in window) if len(window) > 1 else window[0].width


def build_windows(rows: Sequence[TokenRow], config: PackingConfig, report: PackingReport) -> list[Window]:
    """One task's windows, in the rows' order, none longer than `config.length`."""
    report.rows += len(rows)
    if config.mode == "concat":
        made = list(_concat([row for row in rows if _has_learnt_token(row, report)], config.length))
    else:
        kept = [row for row in (_fit_to_length(row, config, report) for row in rows) if row is not None]
        made = list(_next_fit(kept, config.length)) if config.mode == "pack" else [(row,) for row in kept]
    report.windows += len(made)
    report.tokens += sum(len(row) for window in made for row in window)
    report.learnt += sum(int(row.learnt.sum()) for window in made for row in window)
    return made


def _has_learnt_token(row: TokenRow, report: PackingReport) -> bool:
    if row.learnt[0 if row.source is not None else 1 :].any():
        return True
    report.nothing_learnt += 1
    return False


def _fit_to_length(row: TokenRow, config: PackingConfig, report: PackingReport) -> TokenRow | None:
    """The row within the window's length, or None where it is dropped; counted either way."""
    if row.width > config.length:
        match config.over_long:
            case "error":
                raise DataError(
                    f"{report.task}: a row of {row.width} tokens is longer than packing.length = {config.length}:"
                    " raise it, or set packing.over_long = 'drop' or 'truncate_left'"
                )
            case "drop":
                report.dropped += 1
                return None
            case "truncate_left":
                row = _truncate_source(row.cut(max(0, len(row) - config.length), None), config.length)
            case "truncate_right":
                row = _truncate_source(row.cut(0, config.length), config.length)
        if not _has_learnt_token(row, report):
            return None
        report.truncated += 1
        return row
    return row if _has_learnt_token(row, report) else None


def _truncate_source(row: TokenRow, length: int) -> TokenRow:
    return row if row.source is None else replace(row, source=row.source[-length:])


def _next_fit(rows: Sequence[TokenRow], length: int) -> Iterator[Window]:
    open_rows: list[TokenRow] = []
    used = 0
    for row in rows:
        if open_rows and used + len(row) > length:
            yield tuple(open_rows)
            open_rows, used = [], 0
        open_rows.append(row)
        used += len(row)
    if open_rows:
        yield tuple(open_rows)


def _concat(rows: Sequence[TokenRow], length: int) -> Iterator[Window]:
    """One stream cut into windows. A window that begins inside a sample repeats the token before it, unlearnt."""
    pieces: list[TokenRow] = []
    room = length
    for row in rows:
        at = 0
        while at < len(row):
            if (
                not pieces and at > 0
            ):  # the first token of a window is never predicted: give it something to see
                before = row.cut(at - 1, at)
                pieces.append(replace(before, learnt=before.learnt & False))
                room -= 1
                piece = row.cut(at, at + room)
                pieces = [_joined(pieces[0], piece)]
            else:
                piece = row.cut(at, at + room)
                pieces.append(piece)
            at += len(piece)
            room -= len(piece)
            if room == 0:
                yield tuple(pieces)
                pieces, room = [], length
    if pieces:
        yield tuple(pieces)


def _joined(first: TokenRow, second: TokenRow) -> TokenRow:
    import numpy as np

    return replace(
        second,
        ids=np.concatenate([first.ids, second.ids]),
        learnt=np.concatenate([first.learnt, second.learnt]),
    )


def interleave(tasks: Sequence[Sequence[Window]]) -> list[Window]:
    """All tasks' windows in one order: each task spread evenly, its own order kept."""
    placed = [
        ((i + 0.5) / len(made), number, i) for number, made in enumerate(tasks) for i in range(len(made))
    ]
    return [tasks[number][i] for _, number, i in sorted(placed)]


def make_batches(found: Sequence[Window], config: PackingConfig, seed: int) -> list[Batch]:
    """Batches of `batch` windows or, with `batch_tokens`, of as many windows of like length as fit."""
    rng = random.Random(seed)
    ordered = list(found)
    if config.order == "shuffled":
        rng.shuffle(ordered)
    if config.batch_tokens is None:
        return [ordered[i : i + config.batch] for i in range(0, len(ordered), config.batch)]
    made: list[Batch] = []
    for start in range(0, len(ordered), config.pool):
        pool = sorted(ordered[start : start + config.pool], key=window_width)
        groups: list[list[Window]] = [[]]
        for window in pool:
            if groups[-1] and window_width(window) * (len(groups[-1]) + 1) > config.batch_tokens:
                groups.append([])
            groups[-1].append(window)
        rng.shuffle(groups)
        made += groups
    return made


def apart_is_cheaper(windows: Batch, hidden: int, multiple: int) -> bool:
    """Whether samples that do not see each other cost less one a line, padded, than behind each other.

    For a cell and layer the products with weights take 24 hidden^2 operations, attention 4 hidden times the width of
    the line: 6 hidden and the width are in proportion. Measured on a CPU: benchmarks/RESULTS.md.
    """
    rows = [(row,) for window in windows for row in window]

    def cost(lines: Batch) -> int:
        width = -max(map(window_width, lines)) // multiple * -multiple
        return len(lines) * width * (6 * hidden + width)

    return cost(rows) < cost(windows)


def padding_share(made: Sequence[Batch], config: PackingConfig) -> float:
    """Share of a batch's cells that hold no token, over all batches: 1 - tokens / (lines x width)."""
    tokens = cells = 0
    for batch in made:
        widths = [window_width(window) for window in batch]
        tokens += sum(widths)
        cells += len(batch) * (config.length if config.mode == "pad" else max(widths))
    return 1 - tokens / cells if cells else 0.0
