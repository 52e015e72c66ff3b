"""Which problems are among the rows that a model was trained on, from digests small enough to lie beside its weights.

exact   the question is equal but for case, blanks and a closing mark, as where shots are chosen
near    the questions share most of their runs of SHINGLE bytes (Jaccard at least NEAR), or a long answer is equal

Similarity is estimated from MinHash sketches (Broder, 1997), and rows to compare are found by bands of them. Of very
many rows only some are kept, those of the smallest digests: `TrainedRows.left_out`. Pure: who writes and reads the
bytes is harness/training/run.py and harness/runs/contamination.py.
"""

import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

FILE = "training_rows.npz"  # in the folder of an adapter, or of a model that was trained
NEAR = 0.7
SHINGLE = 5  # bytes
HASHES, BAND = 64, 4  # of a sketch; two texts of similarity 0.7 share one of the 16 bands in 99 of 100 cases
LONG = 80  # characters of an answer that two questions do not have in common by chance
MAX_EXACT, MAX_NEAR = 1_000_000, 50_000  # rows of which digests and sketches are kept: 16 MB and 6.4 MB
MAX_BYTES = 20_000  # of a text that is sketched


def normalize_question(question: str) -> str:
    """A question as it is compared: without case, blanks and a closing mark."""
    text = unicodedata.normalize("NFKC", question).casefold()
    return re.sub(r"[.?!:;]+$", "", "".join(text.split()))


@dataclass(frozen=True)
class TrainedRows:
    """Sorted digests of questions and of long answers, and sketches [n, HASHES] of questions; `rows` were there."""

    rows: int
    questions: Any
    answers: Any
    sketches: Any

    def to_bytes(self) -> bytes:
        import numpy as np

        file = io.BytesIO()
        arrays = {name: getattr(self, name) for name in ("questions", "answers", "sketches")}
        np.savez(file, rows=np.int64(self.rows), **arrays)
        return file.getvalue()

    @property
    def left_out(self) -> str:
        """What of the rows is not in the digests; "" if all are."""
        left = []
        if len(self.questions) == MAX_EXACT:
            left.append(f"{MAX_EXACT:,} of {self.rows:,} rows are kept for the exact comparison")
        if len(self.sketches) == MAX_NEAR:
            left.append(f"{MAX_NEAR:,} of {self.rows:,} rows for the near one")
        return ", ".join(left)


def from_bytes(content: bytes) -> TrainedRows:
    """Raises ValueError for what `to_bytes` has not written."""
    import numpy as np

    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as found:
            return TrainedRows(
                int(found["rows"]), *(found[name] for name in ("questions", "answers", "sketches"))
            )
    except (KeyError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"no digests of training rows: {error}") from None


def digest_rows(rows: Iterable[tuple[str, str]]) -> TrainedRows:
    """The digests of (question, answer)s."""
    import numpy as np

    questions: dict[int, str] = {}
    answers: set[int] = set()
    count = 0
    for question, answer in rows:
        count += 1
        asked, said = normalize_question(question), normalize_question(answer)
        questions[_digest(asked)] = asked
        if len(said) >= LONG:
            answers.add(_digest(said))
    kept = sorted(questions)[:MAX_EXACT]
    return TrainedRows(
        rows=count,
        questions=np.array(kept, dtype=np.uint64),
        answers=np.array(sorted(answers)[:MAX_EXACT], dtype=np.uint64),
        sketches=_sketches([questions[each] for each in kept[:MAX_NEAR]]),
    )


def find(seen: TrainedRows, problems: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """The numbers of the (question, answer)s that are among the rows: exact ones, near ones."""
    questions, answers = set(seen.questions.tolist()), set(seen.answers.tolist())
    exact, near, others = [], [], []
    for number, (question, answer) in enumerate(problems):
        asked, said = normalize_question(question), normalize_question(answer)
        if _digest(asked) in questions:
            exact.append(number)
        elif len(said) >= LONG and _digest(said) in answers:
            near.append(number)
        else:
            others.append((number, asked))
    similar = _similarities(_sketches([asked for _, asked in others]), seen.sketches)
    near += [number for (number, _), value in zip(others, similar, strict=True) if value >= NEAR]
    return exact, sorted(near)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _sketches(texts: Sequence[str]) -> Any:
    """MinHash, [texts, HASHES] of 16 bits: of each hash function the smallest value over the text's shingles."""
    import numpy as np

    rng = np.random.default_rng(0)
    factors = rng.integers(0, 2**63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = rng.integers(0, 2**63, HASHES, dtype=np.uint64)
    powers = np.uint64(256) ** np.arange(SHINGLE, dtype=np.uint64)
    found = np.zeros((len(texts), HASHES), dtype=np.uint16)
    for number, text in enumerate(texts):
        plain = np.frombuffer(text.encode()[:MAX_BYTES].ljust(SHINGLE), dtype=np.uint8)
        shingles = np.lib.stride_tricks.sliding_window_view(plain, SHINGLE).astype(np.uint64) @ powers
        shingles = np.unique(shingles) * np.uint64(0x9E3779B97F4A7C15)
        shingles ^= shingles >> np.uint64(
            32
        )  # a product's high bits depend on all of its factor, the low ones do not
        hashed = shingles[:, None] * factors + offsets
        found[number] = hashed.min(axis=0) >> np.uint64(32) & np.uint64(0xFFFF)
    return found


def _similarities(asked: Any, rows: Any) -> list[float]:
    """For each sketch the greatest share of equal values with a row's, among the rows that share a band with it."""
    import numpy as np

    if not len(asked) or not len(rows):
        return [0.0] * len(asked)
    bands_asked, bands_rows = (np.ascontiguousarray(each).view(np.uint64) for each in (asked, rows))
    assert bands_rows.shape[1] == HASHES // BAND
    candidates: list[list[Any]] = [[] for _ in range(len(asked))]
    for band in range(bands_rows.shape[1]):
        order = np.argsort(bands_rows[:, band])
        keys = bands_rows[order, band]
        first, last = (np.searchsorted(keys, bands_asked[:, band], side) for side in ("left", "right"))
        for number in np.flatnonzero(first < last):
            candidates[number].append(order[first[number] : last[number]])
    return [
        float((rows[np.unique(np.concatenate(among))] == sketch).mean(axis=1).max()) if among else 0.0
        for sketch, among in zip(asked, candidates, strict=True)
    ]
