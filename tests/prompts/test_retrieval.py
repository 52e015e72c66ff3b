"""Exact search against brute force; indexes kept on disk, resumed, and rebuilt when damaged."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.config.run import RetrievalConfig
from harness.errors import ConfigError
from harness.prompts.retrieval import encoder, index, load_retriever
from harness.prompts.retrieval.encoder import quiet
from harness.prompts.retrieval.parts import IndexShape
from harness.tasks.loading import data_files, registry
from tests.support.parts.hits import forbid, rows

Vectors = NDArray[np.float32]


def unit(rows: int, dimension: int, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute_force(vectors: Vectors, queries: Vectors, depth: int) -> list[list[int]]:
    """Rows by cosine in double precision, equal ones by row."""
    near = (queries.astype(np.float64) @ vectors.astype(np.float64).T).round(12)
    return np.argsort(-near, axis=1, kind="stable")[:, :depth].tolist()  # type: ignore[no-any-return]


@given(st.integers(1, 60), st.integers(1, 12), st.integers(1, 20), st.integers(0, 10_000), st.booleans())
@settings(max_examples=60, deadline=None)
def test_exact_search_is_brute_force_with_equal_ones_by_row(
    count: int, dimension: int, depth: int, seed: int, doubled: bool
) -> None:
    vectors = unit(count, dimension, seed)
    if doubled:  # many equal vectors, more than the candidates that are looked at first
        vectors = np.ascontiguousarray(np.repeat(vectors, 40, axis=0))
    queries = np.concatenate([unit(3, dimension, seed + 1), vectors[:2]])
    found = index.search(index.Index(vectors), queries, depth)
    assert rows(found) == brute_force(vectors, queries, min(depth, len(vectors)))
    assert all(own == sorted(own, key=lambda hit: (-hit[1], hit[0])) for own in found)


def test_rows_that_float32_cannot_tell_apart_are_ranked_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "EXTRA_CANDIDATES", 0)  # so that the first look has no candidates to spare
    rng = np.random.default_rng(0)
    vectors = (unit(1, 64) + 1e-8 * rng.standard_normal((3000, 64))).astype(np.float32)
    asked = unit(1, 64, seed=1)
    exact = brute_force(vectors, asked, 3)
    _, first = index.import_faiss().knn(asked, vectors, 3, metric=0)  # 0: inner product
    assert set(first[0].tolist()) != set(exact[0]), "the case is not as hard as it should be"
    assert rows(index.search(index.Index(vectors), asked, 3)) == exact


def test_the_16_nearest_of_every_real_dev_row_are_those_of_brute_force(
    real_data: Path, tmp_path: Path
) -> None:
    task = registry.task("conala", {"corpus": "docprompting"})
    train, dev = (
        [problem.question for problem in data_files.load(task, split, data_files.open_source(str(real_data)))]
        for split in ("train", "validation")
    )
    assert (len(train), len(dev)) == (1936, 159)
    opened = load_retriever(RetrievalConfig(encoder="mini", cache=str(tmp_path)), train, "cpu", quiet, forbid)
    mini = encoder.load_encoder("mini", None, "cpu")
    vectors, queries = (np.concatenate(list(mini.encode(texts))) for texts in (train, dev))
    assert rows(opened.retrieve(dev, 16)) == brute_force(vectors, queries, 16)


@pytest.mark.parametrize("kind", ["hnsw", "ivf"])
def test_an_approximate_index_says_how_much_it_finds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "APPROXIMATE_FROM", 3000)
    vectors = unit(3000, 16)
    for _ in range(2):  # built, then read from disk
        opened = opened_index(tmp_path, vectors, kind)
        assert opened.recall is not None
        assert 0.7 < opened.recall <= 1.0
        found = index.search(opened, vectors[:50], 10)
        assert [own[0][0] for own in found] == list(range(50))
        exact = brute_force(vectors, vectors[:50], 10)
        shared = [len({*a} & {*b}) for a, b in zip(rows(found), exact, strict=True)]
        assert sum(shared) > 0.7 * 500


def test_an_approximate_index_of_few_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        opened_index(tmp_path, unit(30, 4), "hnsw")
    assert str(caught.value) == (
        "retrieval.index = 'hnsw' is for 50,000 training rows or more, and there are 30: leave it at 'flat',"
        " which is exact"
    )


class Built:
    """Gives the vectors and counts how often they were asked for."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self.times = 0

    def __call__(self, start: int) -> Iterator[Vectors]:
        self.times += 1
        yield from np.array_split(self.vectors[start:], 3)


def opened_index(
    folder: Path,
    vectors: Vectors,
    kind: str = "flat",
    built: Built | None = None,
    warn: Any = forbid,
    **key: str,
) -> index.Index:
    size = IndexShape(*vectors.shape)
    whole = {"encoder": "e", "texts": "t", "template": "{question}", "index": kind, **key}
    return index.load_or_build(folder, whole, size, built or Built(vectors), warn)


def test_an_index_is_built_once_and_again_only_when_its_key_changes(tmp_path: Path) -> None:
    built = Built(unit(20, 4))
    for _ in range(3):
        found = opened_index(tmp_path, built.vectors, built=built)
        assert isinstance(found.vectors, np.memmap)
        assert np.array_equal(found.vectors, built.vectors)
    assert built.times == 1
    for changed in ({"encoder": "f"}, {"texts": "u"}, {"template": "passage: {question}"}):
        for _ in range(2):
            opened_index(tmp_path, built.vectors, built=built, **changed)
    assert built.times == 4


def cut_short(folder: Path) -> None:
    path = folder / "vectors.npy"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 7)


def other_bytes(folder: Path) -> None:
    path = folder / "vectors.npy"
    blob = bytearray(path.read_bytes())
    blob[-3] ^= 1
    path.write_bytes(blob)


DAMAGES = {
    "cut short": (cut_short, "vectors.npy has 441 bytes of 448"),
    "other bytes": (other_bytes, "vectors.npy has other content"),
    "gone": (lambda folder: (folder / "vectors.npy").unlink(), "vectors.npy is missing"),
    "no list": (lambda folder: (folder / "index.json").write_text("{"), "index.json: JSONDecodeError"),
    "another list": (lambda folder: (folder / "index.json").write_text("[]"), "index.json: TypeError"),
    "killed before the list": (
        lambda folder: (folder / "index.json").unlink(),
        "index.json: FileNotFoundError",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_index_is_built_again_and_that_is_said(name: str, tmp_path: Path) -> None:
    harm, why = DAMAGES[name]
    built, said = Built(unit(20, 4)), list[str]()
    opened_index(tmp_path, built.vectors, built=built)
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    harm(folder)
    found = opened_index(tmp_path, built.vectors, built=built, warn=said.append)
    assert np.array_equal(found.vectors, built.vectors)
    assert said == [f"index {folder} is damaged ({why}): building it again"]
    opened_index(tmp_path, built.vectors, built=built)
    assert built.times == 2


class Killed:
    """Gives parts of five vectors, and dies where it should have given the one after `most` of them."""

    def __init__(self, vectors: Vectors, most: int) -> None:
        self.vectors = vectors
        self.most = most
        self.starts = list[int]()

    def __call__(self, start: int) -> Iterator[Vectors]:
        self.starts.append(start)
        for at in range(start, len(self.vectors), 5):
            if at == 5 * self.most:
                raise KeyboardInterrupt
            yield self.vectors[at : at + 5]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_build_that_was_killed_goes_on_where_it_was_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    vectors = unit(20, 4)
    opened_index(tmp_path / "whole", vectors)
    killed: Any = Killed(vectors, 2)
    with pytest.raises(KeyboardInterrupt):
        opened_index(tmp_path / "killed", vectors, built=killed)
    (left,) = (path for path in (tmp_path / "killed").iterdir() if path.is_dir())
    assert left.name.startswith(".")
    assert left.name.endswith(".building")
    killed.most = 99
    opened_index(tmp_path / "killed", vectors, built=killed)
    assert killed.starts == [0, 10]
    one, other = (
        [path for path in (tmp_path / name).iterdir() if path.is_dir()] for name in ("whole", "killed")
    )
    assert [path.name for path in one] == [path.name for path in other]
    assert files(one[0]) == files(other[0])


def kill(*given: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("owner", "step"), [(index, "_longest"), (Path, "rename")])
def test_a_build_killed_after_its_vectors_asks_for_none_again(
    owner: Any, step: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = Built(unit(20, 4))
    opened_index(tmp_path / "whole", built.vectors)
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, kill)
        with pytest.raises(KeyboardInterrupt):
            opened_index(tmp_path / "killed", built.vectors, built=built)
    opened_index(tmp_path / "killed", built.vectors, built=built)
    assert built.times == 1
    one, other = (next(each.glob("[!.]*/")) for each in (tmp_path / "whole", tmp_path / "killed"))
    assert files(one) == files(other)


@pytest.mark.parametrize(
    ("name", "harm", "start"),
    [
        ("parts.jsonl", lambda data: data[:-9], 5),  # a torn last line
        ("vectors.npy", lambda data: data[:-9], 5),  # less on the disk than was promised
        ("vectors.npy", lambda data: data[:140] + b"!!!!" + data[144:], 0),  # another first part
        ("vectors.npy", lambda data: b"no header" + data[9:], 0),
        ("vectors.npy", lambda data: data + b"half of a part", 10),
    ],
)
def test_what_a_killed_build_left_is_checked_before_it_is_used(
    name: str, harm: Any, start: int, tmp_path: Path
) -> None:
    vectors = unit(20, 4)
    killed: Any = Killed(vectors, 2)
    with pytest.raises(KeyboardInterrupt):
        opened_index(tmp_path, vectors, built=killed)
    (path,) = tmp_path.glob(f".*.building/{name}")
    path.write_bytes(harm(path.read_bytes()))
    killed.most = 99
    assert np.array_equal(opened_index(tmp_path, vectors, built=killed).vectors, vectors)
    assert killed.starts == [0, start]


def test_what_killed_builds_left_is_removed_when_nobody_comes_back(tmp_path: Path) -> None:
    week_old, recent, useless, busy = (
        tmp_path / name for name in (".aa.building", ".bb.building", ".cc.1234", ".dd.5678")
    )
    for folder in (week_old, recent, useless, busy):
        folder.mkdir()
        (folder / "vectors.npy").write_bytes(b"x")
    for path in (week_old / "vectors.npy", week_old):
        os.utime(path, (1e9, 1e9))
    with filelock.FileLock(tmp_path / "dd.lock"):
        opened_index(tmp_path, unit(20, 4))
    assert [folder.exists() for folder in (week_old, recent, useless, busy)] == [False, True, False, True]


def test_what_another_process_removes_meanwhile_is_no_fault(tmp_path: Path) -> None:
    gone = tmp_path / ".aa.building"
    gone.mkdir()
    (gone / "vectors.npy").symlink_to(gone / "removed")  # listed, and not there when it is asked for
    vectors = unit(20, 4)
    assert np.array_equal(opened_index(tmp_path, vectors).vectors, vectors)
    assert gone.is_dir()  # what could not be looked at is left alone
