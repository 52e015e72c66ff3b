"""The vectors of the training questions on disk, and searching them by inner product.

A folder a key, made once (parts.py): `vectors.npy`, read by mapping it into memory; for an approximate index the
file `graph.faiss`; and `index.json`, written last, with the size and SHA-256 of both. A file that is not what
index.json says (cut short, overwritten) is damage: the folder is built again, with a warning.

Exact search takes faiss' candidates and ranks them again by inner products in float64; where the last places could
be a matter of float32's rounding it looks further down. So the order is a function of the vectors, equal ones by row.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.backends import hub
from harness.config.identity import digest
from harness.errors import ConfigError, StoreFault, UserError
from harness.prompts.retrieval import Hit
from harness.prompts.retrieval.parts import (
    PARTS,
    IndexShape,
    building_folder,
    remove_left_over,
    write_vectors,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.prompts.retrieval.parts import Blocks

    Vectors = NDArray[np.float32]

FORMAT = 2
LIST = "index.json"
APPROXIMATE_FROM = 50_000  # vectors below which exact search takes milliseconds and nothing is to be gained
EXTRA_CANDIDATES = 16  # candidates beyond the depth that float32 may have put in the wrong order
FLOAT32_ERROR = 1e-4  # inner products in float32 are off by less, times the product of the lengths
CHUNK = 1 << 16  # vectors that are looked at together
RECALL_AT = 16
RECALL_QUERIES = 200


@dataclass(frozen=True)
class Index:
    """`vectors` float32 [rows, dimension]; `graph` is faiss' approximate index, None where search is exact.

    `recall` is the share of the 16 nearest that the graph finds, measured when it was built. `longest` is the length
    of the longest vector.
    """

    vectors: "Vectors"
    graph: Any = None
    recall: float | None = None
    longest: float = 1.0


def load_or_build(
    cache: Path,
    key: Mapping[str, str],
    size: IndexShape,
    blocks: "Blocks",
    warn: Callable[[str], None],
) -> Index:
    """The index of `key` from the cache, or made of `blocks(row)` and kept there. Raises UserError, StoreFault."""
    import filelock

    kind = key["index"]
    if kind != "flat" and size.rows < APPROXIMATE_FROM:
        raise ConfigError(
            f"retrieval.index = {kind!r} is for {APPROXIMATE_FROM:,} training rows or more, and there are"
            f" {size.rows:,}: leave it at 'flat', which is exact"
        )
    try:
        folder = cache.expanduser() / digest({"format": FORMAT, **key})
        folder.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_suffix(".lock")):
            if folder.exists():
                damage = damage_of(folder, size)
                if not damage:
                    return read_index(folder, kind)
                warn(f"index {folder} is damaged ({damage}): building it again")
                shutil.rmtree(folder)
            build_index(folder, key, size, blocks)
            return read_index(folder, kind)
    except RuntimeError as error:  # pathlib's, where nothing says what the home folder is
        raise UserError(f"retrieval.cache = {str(cache)!r}: {error}; name a folder") from None
    except OSError as error:
        raise StoreFault(
            f"index in {str(cache)!r}: {error.strerror or error}; retrieval.cache names another folder"
        ) from None


def damage_of(folder: Path, size: IndexShape) -> str:
    """What is wrong with the files of an index; empty when they are what index.json says."""
    try:
        said = json.loads((folder / LIST).read_text(encoding="utf-8"))
        if [said["rows"], said["dimension"]] != [size.rows, size.dimension]:
            return "index.json: other numbers of rows or dimensions"
        for name, (length, sha) in said["files"].items():
            if not (folder / name).is_file():
                return f"{name} is missing"
            if (found := (folder / name).stat().st_size) != length:
                return f"{name} has {found} bytes of {length}"
            if hub.sha256(folder / name) != sha:
                return f"{name} has other content"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"index.json: {type(error).__name__}"
    return ""


def read_index(folder: Path, kind: str) -> Index:
    import numpy as np

    vectors = np.load(folder / "vectors.npy", mmap_mode="r")
    said = json.loads((folder / LIST).read_text(encoding="utf-8"))
    if kind == "flat":
        return Index(vectors, longest=said["longest"])
    faiss = import_faiss()
    graph = faiss.read_index(str(folder / "graph.faiss"), faiss.IO_FLAG_MMAP_IFC)
    _set_search_effort(faiss, graph)
    return Index(vectors, graph, said["recall"], said["longest"])


def build_index(folder: Path, key: Mapping[str, str], size: IndexShape, blocks: "Blocks") -> None:
    """Write the index to the folder of its parts and rename that. A killed build is gone on with."""
    import numpy as np

    remove_left_over(folder.parent)
    making = building_folder(folder)
    write_vectors(making, size, blocks)
    vectors = np.load(making / "vectors.npy", mmap_mode="r")
    recall = None
    if key["index"] != "flat":
        recall = _build_graph(making / "graph.faiss", key["index"], vectors)
    built = [each for each in sorted(making.iterdir()) if each.name not in (PARTS, LIST)]
    said = {
        "format": FORMAT,
        "key": dict(key),
        "rows": size.rows,
        "dimension": size.dimension,
        "longest": _longest(vectors),
        "recall": recall,
        "files": {each.name: [each.stat().st_size, hub.sha256(each)] for each in built},
    }
    (making / LIST).write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    making.rename(folder)
    # Last: with the list of parts a build that is killed anywhere above goes on without embedding again.
    (folder / PARTS).unlink()


def _longest(vectors: "Vectors") -> float:
    import numpy as np

    return max(
        (
            float(np.linalg.norm(vectors[at : at + CHUNK], axis=1).max())
            for at in range(0, len(vectors), CHUNK)
        ),
        default=0.0,
    )


def _build_graph(path: Path, kind: str, vectors: "Vectors") -> float:
    """Build and write faiss' HNSW or IVF index; its recall against exact search, on rows of its own."""
    import numpy as np

    faiss = import_faiss()
    rows, dimension = vectors.shape
    if kind == "hnsw":
        graph = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = 80
    else:
        cells = max(1, min(int(4 * rows**0.5), rows // 40))  # 40 rows to place each cell by
        coarse = faiss.IndexFlatIP(dimension)
        graph = faiss.IndexIVFFlat(coarse, dimension, cells, faiss.METRIC_INNER_PRODUCT)
        rng = np.random.default_rng(0)
        graph.train(vectors[np.sort(rng.choice(rows, size=min(rows, 40 * cells), replace=False))])
    _set_search_effort(faiss, graph)
    graph.add(vectors)
    faiss.write_index(graph, str(path))
    asked = vectors[np.sort(np.random.default_rng(1).choice(rows, size=RECALL_QUERIES, replace=False))]
    exact = search(Index(vectors), asked, RECALL_AT)
    found = search(Index(vectors, graph), asked, RECALL_AT)
    shares = [len({r for r, _ in a} & {r for r, _ in b}) / len(a) for a, b in zip(exact, found, strict=True)]
    return float(np.mean(shares))


def _set_search_effort(faiss: Any, graph: Any) -> None:
    """How far an approximate search looks: not kept in the file by every version."""
    if isinstance(graph, faiss.IndexHNSWFlat):
        graph.hnsw.efSearch = 128
    else:
        graph.nprobe = max(1, graph.nlist // 8)


def search(index: Index, queries: "Vectors", depth: int) -> list[list[Hit]]:
    """For each query, float32 [queries, dimension], the `depth` rows of largest inner product, best first."""
    rows = len(index.vectors)
    depth = min(depth, rows)
    width = min(rows, depth + EXTRA_CANDIDATES)
    if index.graph is not None:
        _, candidates = index.graph.search(queries, width)
        return [
            _ranked(index, query, own[own >= 0])[:depth]
            for query, own in zip(queries, candidates, strict=True)
        ]
    faiss = import_faiss()
    found: list[list[Hit]] = []
    _, candidates = faiss.knn(queries, index.vectors, width, metric=faiss.METRIC_INNER_PRODUCT)
    for query, own in zip(queries, candidates, strict=True):
        hits = _ranked(index, query, own)
        error = FLOAT32_ERROR * index.longest * float((query.astype("f8") ** 2).sum() ** 0.5)
        while len(hits) < rows and hits[depth - 1][1] - hits[-1][1] < error:
            wider = min(rows, 2 * len(hits))
            _, more = faiss.knn(query[None], index.vectors, wider, metric=faiss.METRIC_INNER_PRODUCT)
            hits = _ranked(index, query, more[0])
        found.append(hits[:depth])
    return found


def _ranked(index: Index, query: "Vectors", candidates: Any) -> list[Hit]:
    """Candidates by their inner product in float64, to twelve digits; equal ones by row."""
    import numpy as np

    own = (index.vectors[candidates].astype(np.float64) * query.astype(np.float64)).sum(axis=1).round(12)
    order = np.lexsort((candidates, -own))
    return [(int(candidates[at]), float(own[at])) for at in order]


def import_faiss() -> Any:
    import faiss

    return faiss
