"""The answer store: completions that a model gave once, kept for other runs that ask exactly the same.

A completion is found again only where everything is equal that it may depend on: the weights' digest, the adapter's,
dtype and quantisation, engine and its versions, device, processor and number of cores, the prompt, how it is drawn,
seed and sample; for drawn samples the problem too, because the noise is a function of it. A backend that cannot
tell what its weights are has no store.

One SQLite file, many processes at a time. Rows are written in short transactions, so a kill loses the last seconds at
most and other runs never wait long. A file that is damaged, locked or not to be written is left out with a warning:
a store only ever saves work. Beyond its size the oldest rows give way.
"""

import hashlib
import json
import logging
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness import __version__
from harness.config.backend import BackendConfig
from harness.environment import hardware
from harness.errors import StoreFault
from harness.schema import Completion, Generation, Prompt, Request, Sampling

LOG = logging.getLogger(__name__)
FILE = "answers.sqlite"
LAYOUT = 1  # goes up when the tables, or what a key is made of, change; another file is then begun
LARGEST = 4 << 30  # bytes
FLUSH_ROWS = 64
FLUSH_SECONDS = 2.0
PATIENCE_S = 10.0  # for another process' transaction
NAMES = {"model", "revision", "adapter"}  # where weights are; their digests say what they are
TABLES = """
create table if not exists models (id integer primary key, identity text unique not null);
create table if not exists answers (
    id integer primary key, key blob unique not null, model integer not null, answer text not null,
    sum integer not null
);
"""


def identity(backend: Mapping[str, str], config: BackendConfig) -> dict[str, Any] | None:
    """Everything of a backend that its completions depend on; None where that is not known."""
    if not backend.get("weights"):
        return None
    decides = config.identity_fields()
    if config.kind == "hf":  # known by digest, under whatever name
        backend = {key: value for key, value in backend.items() if key not in NAMES - {"adapter"}}
        decides = {key: value for key, value in decides.items() if key not in NAMES | {"dtype", "quantize"}}
    machine = {name: hardware()[name] for name in ("machine", "cores")}
    return {
        "layout": LAYOUT,
        "harness": __version__,
        "backend": dict(backend),
        "config": decides,
        "hardware": machine,
    }


class Answers:
    """The answers of one model, drawn in one way. Use as a context manager; without a file it knows nothing."""

    def __init__(
        self,
        file: Path | None,
        model: Mapping[str, Any],
        sampling: Sampling,
        warn: Callable[[str], None] = LOG.warning,
        largest: int = LARGEST,
    ) -> None:
        self._file, self._warn, self._largest = file, warn, largest
        drawn = sampling.model_dump(mode="json", exclude=set() if sampling.beams > 1 else {"samples"})
        self._identity = _canonical(model)
        self._asked = f"{self._identity}\n{_canonical(drawn)}"
        self._of_problem = sampling.temperature > 0
        self._waiting: list[tuple[bytes, str]] = []
        self._written = time.monotonic()
        self._base = self._open() if file is not None else None

    def __enter__(self) -> "Answers":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._base is not None:
            self._base.close()
            self._base = None

    @property
    def open(self) -> bool:
        return self._base is not None

    def find(self, requests: Sequence[Request]) -> Iterator[Generation]:
        """The samples that are known, in the order in which they are asked for."""
        for request in requests:
            for index in request.indices:
                if self._base is None:
                    return
                completion = self._completion(self._key(request.problem_id, index, request.prompt))
                if completion is not None:
                    yield Generation(
                        problem_id=request.problem_id,
                        index=index,
                        prompt_sha=request.prompt.sha,
                        completion=completion,
                    )

    def keep(self, prompt: Prompt, made: Generation) -> None:
        if self._base is not None:
            key = self._key(made.problem_id, made.index, prompt)
            self._waiting.append((key, _canonical(made.completion.model_dump(mode="json"))))
            if len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._written > FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        if self._base is None or not self._waiting:
            return
        try:
            with self._base:  # one transaction
                model = self._number()
                self._base.executemany(
                    "insert or ignore into answers (key, model, answer, sum) values (?, ?, ?, ?)",
                    [(key, model, text, _sum(key, text)) for key, text in self._waiting],
                )
                self._make_room()
        except sqlite3.Error as error:
            self._give_up(error)
        self._waiting.clear()
        self._written = time.monotonic()

    # ------------------------------------------------------------ the file

    def _open(self) -> sqlite3.Connection | None:
        assert self._file is not None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self._file)
        except (sqlite3.Error, OSError) as error:
            self._warn(_useless(self._file, error))
            return None

    def _give_up(self, error: Exception) -> None:
        assert self._file is not None
        self._warn(_useless(self._file, error))
        base, self._base = self._base, None
        if base is not None:
            base.close()

    def _completion(self, key: bytes) -> Completion | None:
        assert self._base is not None
        try:
            row = self._base.execute("select answer, sum from answers where key = ?", (key,)).fetchone()
            if row is None:
                return None
            if row[1] != _sum(key, row[0]):
                raise ValueError("a row is not as it was written")
            return Completion.model_validate_json(row[0])
        except (sqlite3.Error, ValidationError, ValueError, TypeError, AttributeError) as error:
            self._give_up(error)
            return None

    def _key(self, problem_id: str, index: int, prompt: Prompt) -> bytes:
        which = [problem_id if self._of_problem else "", index, prompt.model_dump(mode="json")]
        return hashlib.sha256(f"{self._asked}\n{_canonical(which)}".encode()).digest()

    def _number(self) -> int:
        assert self._base is not None
        self._base.execute("insert or ignore into models (identity) values (?)", (self._identity,))
        found = self._base.execute("select id from models where identity = ?", (self._identity,)).fetchone()
        return int(found[0])

    def _make_room(self) -> None:
        """Free the oldest tenth when the file is full; what is freed is written to again."""
        assert self._base is not None
        pages, free, size = (
            self._base.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._largest:
            self._base.execute(
                "delete from answers where id <= (select min(id) + (max(id) - min(id)) / 10 from answers)"
            )


def _connect(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, timeout=PATIENCE_S)
    try:
        (layout,) = base.execute("pragma user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"it is of layout {layout}, and this version writes {LAYOUT}")
        if layout == 0:
            base.executescript(f"begin immediate; {TABLES} pragma user_version = {LAYOUT}; commit;")
    except BaseException:
        base.close()
        raise
    return base


def _useless(file: Path, error: Exception) -> str:
    return (
        f"the answer store {file} cannot be used ({error}): nothing is reused or kept from here on. If it is damaged,"
        " delete it; --no-cache does without"
    )


def _canonical(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _sum(key: bytes, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(key))


# ---------------------------------------------------------------- what is in it


def contents(file: Path) -> list[tuple[dict[str, Any], int, int]]:
    """(identity, answers, their bytes) of each model. Raises StoreFault for a damaged file."""
    if not file.is_file():
        return []
    query = (
        "select identity, count(*), sum(length(answer)) from answers join models on models.id = model"
        " group by model order by model"
    )
    try:
        with closing(_connect(file)) as base:
            return [(json.loads(row[0]), row[1], row[2]) for row in base.execute(query)]
    except (sqlite3.Error, ValueError) as error:
        raise StoreFault(f"{file} cannot be read: {error}; delete it") from None


def clear(file: Path) -> None:
    """Forget everything, also while other processes use it. Raises StoreFault."""
    if not file.is_file():
        return
    try:
        with closing(_connect(file)) as base:
            with base:
                base.execute("delete from answers")
                base.execute("delete from models")
            base.execute("vacuum")
    except sqlite3.Error as error:
        raise StoreFault(f"{file} cannot be cleared: {error}; delete it") from None
