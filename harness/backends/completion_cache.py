"""The completion cache: completions of earlier runs, reused by other runs that make exactly the same request.

A completion is reused only if everything is equal that it may depend on: the digests of weights and adapter (of their
files, and of the tensors in memory), dtype and quantisation, engine and its versions, device, processor and number of
cores, prompt, sampling, seed and sample; for sampled completions the problem too, because the noise is a function of
it. A backend that does not know its weights is not cached.

One SQLite file, shared by many processes. Rows are written in short transactions, so a kill loses at most the last
seconds, and other runs never wait long. A file that is damaged, locked or not writable is skipped with a warning: a
cache only saves work. Beyond its size the oldest rows are deleted.
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
from harness.config.identity import OBSERVED
from harness.environment import hardware
from harness.errors import StoreFault
from harness.schema import Completion, Generation, Prompt, Request, Sampling

LOG = logging.getLogger(__name__)
LAYOUT = 1  # goes up when the tables, or what a key is made of, change; an older file is not used
MAX_BYTES = 4 << 30
FLUSH_ROWS = 64
FLUSH_SECONDS = 2.0
BUSY_TIMEOUT_S = 10.0  # for another process' transaction
NAMES = {"model", "revision", "adapter"}  # where weights are; their digests say what they are
TABLES = """
create table if not exists models (id integer primary key, identity text unique not null);
create table if not exists completions (
    id integer primary key, key blob unique not null, model integer not null, completion text not null,
    sum integer not null
);
"""


def identity(backend: Mapping[str, str], config: BackendConfig) -> dict[str, Any] | None:
    """Everything about a backend that its completions depend on; None if that is not known."""
    if not backend.get("weights"):
        return None
    backend = {key: value for key, value in backend.items() if key not in OBSERVED}
    fields = config.identity_fields()
    if config.kind == "hf":  # known by digest, under whatever name
        backend = {key: value for key, value in backend.items() if key not in NAMES - {"adapter"}}
        fields = {key: value for key, value in fields.items() if key not in NAMES | {"dtype", "quantize"}}
    machine = {name: hardware()[name] for name in ("machine", "cores")}
    return {
        "layout": LAYOUT,
        "harness": __version__,
        "backend": dict(backend),
        "config": fields,
        "hardware": machine,
    }


class CompletionCache:
    """The cached completions of one model and sampling. A context manager; without a file it is empty."""

    def __init__(
        self,
        file: Path | None,
        model: Mapping[str, Any],
        sampling: Sampling,
        warn: Callable[[str], None] = LOG.warning,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._file, self._warn, self._max_bytes = file, warn, max_bytes
        how = sampling.model_dump(mode="json", exclude=set() if sampling.beams > 1 else {"samples"})
        self._identity = _canonical(model)
        self._request = f"{self._identity}\n{_canonical(how)}"
        self._of_problem = sampling.temperature > 0
        self._waiting: list[tuple[bytes, str]] = []
        self._flushed = time.monotonic()
        self._database = self._open() if file is not None else None

    def __enter__(self) -> "CompletionCache":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def usable(self) -> bool:
        return self._database is not None

    def find(self, requests: Sequence[Request]) -> Iterator[Generation]:
        """The samples that are cached, in the order in which they are requested."""
        for request in requests:
            for index in request.indices:
                if self._database is None:
                    return
                completion = self._completion(self._key(request.problem_id, index, request.prompt))
                if completion is not None:
                    yield Generation(
                        problem_id=request.problem_id,
                        index=index,
                        prompt_sha=request.prompt.sha,
                        completion=completion,
                    )

    def add(self, prompt: Prompt, made: Generation) -> None:
        if self._database is not None:
            key = self._key(made.problem_id, made.index, prompt)
            self._waiting.append((key, _canonical(made.completion.model_dump(mode="json"))))
            if len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        if self._database is None or not self._waiting:
            return
        try:
            with self._database:  # one transaction
                model = self._model_id()
                self._database.executemany(
                    "insert or ignore into completions (key, model, completion, sum) values (?, ?, ?, ?)",
                    [(key, model, text, _sum(key, text)) for key, text in self._waiting],
                )
                self._make_room()
        except sqlite3.Error as error:
            self._disable(error)
        self._waiting.clear()
        self._flushed = time.monotonic()

    # ------------------------------------------------------------ the file

    def _open(self) -> sqlite3.Connection | None:
        assert self._file is not None
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self._file)
        except (sqlite3.Error, OSError) as error:
            self._warn(_unusable(self._file, error))
            return None

    def _disable(self, error: Exception) -> None:
        assert self._file is not None
        self._warn(_unusable(self._file, error))
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _completion(self, key: bytes) -> Completion | None:
        assert self._database is not None
        try:
            row = self._database.execute(
                "select completion, sum from completions where key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            if row[1] != _sum(key, row[0]):
                raise ValueError("a row is damaged")
            return Completion.model_validate_json(row[0])
        except (sqlite3.Error, ValidationError, ValueError, TypeError, AttributeError) as error:
            self._disable(error)
            return None

    def _key(self, problem_id: str, index: int, prompt: Prompt) -> bytes:
        which = [problem_id if self._of_problem else "", index, prompt.model_dump(mode="json")]
        return hashlib.sha256(f"{self._request}\n{_canonical(which)}".encode()).digest()

    def _model_id(self) -> int:
        assert self._database is not None
        self._database.execute("insert or ignore into models (identity) values (?)", (self._identity,))
        found = self._database.execute(
            "select id from models where identity = ?", (self._identity,)
        ).fetchone()
        return int(found[0])

    def _make_room(self) -> None:
        """Delete the oldest tenth when the file is full; the freed pages are used again."""
        assert self._database is not None
        pages, free, size = (
            self._database.execute(f"pragma {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > self._max_bytes:
            self._database.execute(
                "delete from completions"
                " where id <= (select min(id) + (max(id) - min(id)) / 10 from completions)"
            )


def _connect(file: Path) -> sqlite3.Connection:
    database = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)
    try:
        (layout,) = database.execute("pragma user_version").fetchone()
        if layout not in (0, LAYOUT):
            raise sqlite3.DatabaseError(f"it is of layout {layout}, and this version writes {LAYOUT}")
        if layout == 0:
            database.executescript(f"begin immediate; {TABLES} pragma user_version = {LAYOUT}; commit;")
    except BaseException:
        database.close()
        raise
    return database


def _unusable(file: Path, error: Exception) -> str:
    return (
        f"the completion cache {file} cannot be used ({error}): nothing is reused or kept from here on. If it is"
        " damaged, delete it; --no-cache turns it off"
    )


def _canonical(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def _sum(key: bytes, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(key))


# ---------------------------------------------------------------- what is in it


def contents(file: Path) -> list[tuple[dict[str, Any], int, int]]:
    """(identity, completions, their bytes) of each model. Raises StoreFault for a damaged file."""
    if not file.is_file():
        return []
    query = (
        "select identity, count(*), sum(length(completion)) from completions join models on models.id = model"
        " group by model order by model"
    )
    try:
        with closing(_connect(file)) as database:
            return [(json.loads(row[0]), row[1], row[2]) for row in database.execute(query)]
    except (sqlite3.Error, ValueError) as error:
        raise StoreFault(f"{file} cannot be read: {error}; delete it") from None


def outdated(identity: Mapping[str, Any]) -> bool:
    """Whether no run of this version asks under such an identity: another version's, or without what was in memory."""
    backend = identity.get("backend", {})
    return (
        identity.get("layout") != LAYOUT
        or identity.get("harness") != __version__
        or (backend.get("kind") == "hf" and not backend.get("loaded"))
    )


def digests(identity: Mapping[str, Any]) -> list[str]:
    """Of an identity those of the weights, of the adapter, and of what was in memory, where there are any."""
    backend = identity.get("backend", {})
    return [backend[key] for key in ("weights", "adapter", "loaded") if backend.get(key)]


def drop(file: Path, wanted: Callable[[Mapping[str, Any]], bool]) -> int:
    """Delete the completions of each model whose identity is `wanted`, also while other processes use the file.

    Returns how many they were. Raises StoreFault.
    """
    if not file.is_file():
        return 0
    dropped = 0
    try:
        with closing(_connect(file)) as database:
            with database:
                for number, text in database.execute("select id, identity from models").fetchall():
                    if wanted(json.loads(text)):
                        dropped += database.execute(
                            "delete from completions where model = ?", (number,)
                        ).rowcount
                        database.execute("delete from models where id = ?", (number,))
            database.execute("vacuum")
    except (sqlite3.Error, ValueError) as error:
        raise StoreFault(f"{file} cannot be cleared: {error}; delete it") from None
    return dropped
