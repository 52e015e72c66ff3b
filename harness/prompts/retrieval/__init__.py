"""Retrievers: for each question, which training questions are nearest. Knows texts, not problems or prompts.

A retriever is a function of questions and a depth; for each question it gives hits (row, score), best first, equal
scores in the order of the rows. Four ways, one type:

  dense    cosine, or the encoder's own dot product, of its vectors, exact (index.py, parts.py, encoder.py, prefixes.py)
  bm25     words in common, weighted by how rare they are (bm25.py)
  hybrid   both lists fused by reciprocal ranks (fusion.py)
  rerank   any of them, its best hits put in a cross-encoder's order (fusion.py)

Only what a user asks is embedded, never an answer: after the encoder's query prefix where it is asked, after its
passage prefix where it is searched. Which hits may be shown is decided in few_shot.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.config.identity import digest
from harness.config.run import RetrievalConfig
from harness.errors import ConfigError

Hit = tuple[int, float]
Retriever = Callable[[Sequence[str], int], list[list[Hit]]]
Step = Callable[[int, int], None]  # (texts done, texts in all)


@dataclass(frozen=True)
class LoadedRetriever:
    """A retriever over some texts; `identity` goes into run.json, `label` into the signature."""

    retrieve: Retriever
    identity: Mapping[str, Any]
    label: str
    notes: tuple[str, ...] = ()


def load_retriever(
    config: RetrievalConfig, texts: Sequence[str], device: str, step: Step, warn: Callable[[str], None]
) -> LoadedRetriever:
    """The configured retriever over `texts`. Raises UserError. `step` reports the progress of embedding them."""
    from harness.prompts.retrieval import bm25, fusion

    if config.near_duplicate is not None and config.method != "dense":
        raise ConfigError(
            f"retrieval.near_duplicate is a cosine, and retrieval.method = {config.method!r} has none:"
            " leave it out (equal questions count as duplicates anyway), or use method 'dense'"
        )
    lists: list[Retriever] = []
    identity: dict[str, Any] = {"method": config.method, "texts": digest(list(texts))}
    names: list[str] = []
    notes: list[str] = []
    if config.method in ("dense", "hybrid"):
        dense = load_dense(config, texts, device, step, warn)
        lists.append(dense.retrieve)
        identity |= dense.identity
        names.append(dense.label)
        notes += dense.notes
    if config.method in ("bm25", "hybrid"):
        lists.append(bm25.bm25_retriever(texts))
        identity["bm25"] = bm25.SIGNATURE
        names.append("bm25")
    retrieve = lists[0] if len(lists) == 1 else fusion.reciprocal_rank_fusion(lists)
    if config.rerank:
        rerank, name, sha = fusion.load_cross_encoder(config.rerank, device)
        retrieve = fusion.reranked(retrieve, texts, rerank)
        identity["rerank"] = {"model": config.rerank, "digest": sha}
        names.append(f"rerank {name}:{sha[:8]}")
    return LoadedRetriever(retrieve, identity, " + ".join(names), tuple(notes))


def load_dense(
    config: RetrievalConfig, texts: Sequence[str], device: str, step: Step, warn: Callable[[str], None]
) -> LoadedRetriever:
    """Nearest by the encoder's own similarity; the vectors of `texts` come from the cache where it has them."""
    from harness.prompts.retrieval.encoder import load_encoder
    from harness.prompts.retrieval.index import RECALL_AT, load_or_build, search
    from harness.prompts.retrieval.parts import IndexShape
    from harness.prompts.retrieval.prefixes import configured

    encoder = load_encoder(config.encoder, config.revision, device)
    if config.near_duplicate is not None and encoder.similarity != "cosine":
        raise ConfigError(
            f"retrieval.near_duplicate is a cosine, and encoder {encoder.name!r} compares by dot product: leave it out"
        )
    prefixes = configured(encoder.prefixes, config.query_prefix, config.passage_prefix)
    key = {
        "encoder": encoder.digest,
        "texts": digest(list(texts)),
        "template": prefixes.passage + "{question}",
        "index": config.index,
    }
    blocks = lambda start: encoder.encode(texts, "passage", prefixes.passage, start, step)  # noqa: E731
    size = IndexShape(len(texts), encoder.dimension)
    index = load_or_build(Path(config.cache), key, size, blocks, warn)

    def retrieve(questions: Sequence[str], depth: int) -> list[list[Hit]]:
        return [
            hit
            for block in encoder.encode(questions, "query", prefixes.query, step=step)
            for hit in search(index, block, depth)
        ]

    identity: dict[str, Any] = {
        "encoder": {
            "model": config.encoder,
            "revision": encoder.revision,
            "digest": encoder.digest[:16],
            **({"prefixes": asdict(prefixes)} if prefixes.label else {}),
        },
        "index": config.index,
    }
    notes: tuple[str, ...] = ()
    if index.recall is not None:
        notes = (
            f"index {config.index} is approximate: it finds {100 * index.recall:.1f} % of the"
            f" {RECALL_AT} nearest",
        )
    label = f"{encoder.name}:{encoder.digest[:8]}{prefixes.label}"
    return LoadedRetriever(retrieve, identity, label, notes)
