"""BM25 over words, by the library bm25s (method lucene, k1 1.5, b 0.75). No stop words, no stemming."""

import re
from collections.abc import Sequence

from harness.prompts.retrieval import Hit, Retriever

SIGNATURE = "lucene k1 1.5 b 0.75 words"


def tokenize(text: str) -> list[str]:
    """Runs of letters, digits and underscores, without case; and the parts of names like `to_csv`."""
    found = re.findall(r"\w+", text.casefold())
    return [part for word in found for part in dict.fromkeys([word, *word.split("_")]) if part]


def bm25_retriever(texts: Sequence[str]) -> Retriever:
    """A retriever over `texts`; a text without a common word has score 0."""
    import bm25s
    import numpy as np

    corpus = [tokenize(text) for text in texts]
    known = {word for each in corpus for word in each}
    ranker = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    if known:
        ranker.index(corpus, show_progress=False)

    def scores(question: str) -> "np.ndarray":
        asked = [word for word in tokenize(question) if word in known]
        return ranker.get_scores(asked) if asked else np.zeros(len(texts), dtype=np.float32)

    def retrieve(questions: Sequence[str], depth: int) -> list[list[Hit]]:
        found: list[list[Hit]] = []
        for question in questions:
            own = scores(question)
            best = np.argsort(-own, kind="stable")[:depth]
            found.append([(int(row), float(own[row])) for row in best])
        return found

    return retrieve
