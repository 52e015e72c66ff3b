"""A million vectors indexed and searched, beside numpy: python benchmarks/retrieval.py [ROWS] [flat|hnsw|ivf]

Random unit vectors of 384 dimensions (GTE-small's) through the project's own index: built on disk in blocks, opened
again by mapping it into memory, searched for the 16 nearest of 100 queries. Prints seconds, the peak of resident
memory (mapped file included; the aim is 6 GB), and how the exact answers compare with numpy's.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.prompts.retrieval import index
from harness.prompts.retrieval.parts import IndexShape

DIMENSION, BLOCK, QUERIES, DEPTH = 384, 20_000, 100, 16


def blocks(rows: int, seed: int = 0) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for start in range(0, rows, BLOCK):
        block = rng.standard_normal((min(BLOCK, rows - start), DIMENSION), dtype=np.float32)
        yield block / np.linalg.norm(block, axis=1, keepdims=True)


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main(rows: int, kind: str) -> None:
    import faiss

    faiss.omp_set_num_threads(1)
    key = {"encoder": "random", "texts": str(rows), "template": "", "index": kind}
    queries = next(blocks(QUERIES, seed=1))
    with tempfile.TemporaryDirectory() as folder:

        def opened() -> tuple[index.Index, float]:
            began = time.perf_counter()
            size = IndexShape(rows, DIMENSION)
            found = index.load_or_build(Path(folder), key, size, lambda start: blocks(rows), print)
            return found, time.perf_counter() - began

        _, built = opened()
        print(f"{rows:,} x {DIMENSION}, {kind}: built in {built:.1f} s, peak {peak_gb():.2f} GB")
        found, again = opened()
        began = time.process_time()
        hits = index.search(found, queries, DEPTH)
        searched = time.process_time() - began
        print(f"opened again in {again:.1f} s (checked whole); {QUERIES} queries in {searched:.2f} CPU s")
        print(f"peak {peak_gb():.2f} GB" + (f", recall {found.recall:.3f}" if found.recall else ""))
        began = time.process_time()
        best = np.argsort(-(queries @ np.asarray(found.vectors).T), axis=1)[:, :DEPTH]
        plain = time.process_time() - began
        same = np.mean([len({*own} & {row for row, _ in ours}) for own, ours in zip(best, hits, strict=True)])
        print(
            f"numpy: {plain:.2f} CPU s, {plain / searched:.1f} times as long; {same / DEPTH:.4f} of its nearest found"
        )


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000,
        sys.argv[2] if len(sys.argv) > 2 else "flat",
    )
