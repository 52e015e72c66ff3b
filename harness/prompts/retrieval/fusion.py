"""Retrievers made of others: lists fused by reciprocal ranks, and hits put in a cross-encoder's order."""

from collections.abc import Callable, Sequence

from harness.backends import hub
from harness.errors import UserError
from harness.prompts.retrieval import Hit, Retriever
from harness.prompts.retrieval.encoder import files_digest, load_model, silenced

RRF_K = 60  # of Cormack, Clarke and Buettcher (2009), "Reciprocal Rank Fusion outperforms Condorcet"
MIN_FUSED = 100  # hits of each list that are fused, at least
MIN_RERANKED = 50  # hits that a cross-encoder looks at, at least

Pairs = Sequence[tuple[str, str]]


def sort_hits(scores: Sequence[Hit]) -> list[Hit]:
    return sorted(scores, key=lambda hit: (-hit[1], hit[0]))


def reciprocal_rank_fusion(retrievers: Sequence[Retriever]) -> Retriever:
    """The score of a row is the sum over the lists of 1 / (60 + its rank there), ranks from 1."""

    def retrieve(questions: Sequence[str], depth: int) -> list[list[Hit]]:
        each = [retriever(questions, max(depth, MIN_FUSED)) for retriever in retrievers]
        fused = []
        for lists in zip(*each, strict=True):
            scores: dict[int, float] = {}
            for hits in lists:
                for rank, (row, _) in enumerate(hits, 1):
                    scores[row] = scores.get(row, 0.0) + 1.0 / (RRF_K + rank)
            fused.append(sort_hits(list(scores.items()))[:depth])
        return fused

    return retrieve


def reranked(retrieve: Retriever, texts: Sequence[str], score: Callable[[Pairs], list[float]]) -> Retriever:
    """The best hits of another retriever, in the order of `score` over (question, text)."""

    def again(questions: Sequence[str], depth: int) -> list[list[Hit]]:
        lists = retrieve(questions, max(depth, MIN_RERANKED))
        pairs = [
            (question, texts[row]) for question, hits in zip(questions, lists, strict=True) for row, _ in hits
        ]
        scores = iter(score(pairs))
        return [sort_hits([(row, next(scores)) for row, _ in hits])[:depth] for hits in lists]

    return again


def load_cross_encoder(name: str, device: str) -> tuple[Callable[[Pairs], list[float]], str, str]:
    """(scores of pairs, short name, digest) of a cross-encoder from a folder or the hub cache."""
    folder, commit = hub.find(name, None, "cross-encoder")
    if not (folder / "config.json").is_file():
        raise UserError(f"cross-encoder folder {folder} is none: it has no config.json")
    model = load_model("CrossEncoder", folder, device, "cross-encoder")

    def score(pairs: Pairs) -> list[float]:
        if not pairs:
            return []
        with silenced():
            found = model.predict([list(pair) for pair in pairs], show_progress_bar=False)
        if found.ndim != 1:
            raise UserError(f"cross-encoder {name!r} gives {found.shape[1]} scores a pair, expected one")
        return [float(value) for value in found]

    return score, name.split("/")[-1] if commit else folder.name, files_digest(folder)
