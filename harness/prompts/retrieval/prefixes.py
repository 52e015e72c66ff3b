"""What an encoder wants before queries and passages: what its own files say, else what its family is known to need.

Not known is taken for none. A run's config may say otherwise: `retrieval.query_prefix`, `retrieval.passage_prefix`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

NONE = "none"  # in a config: no prefix, whatever the encoder's own is
PASSAGE_PROMPTS = ("document", "passage", "corpus")  # names that sentence-transformers looks for


@dataclass(frozen=True)
class Prefixes:
    """`source` is where they are from: a file's name, a family's, or `config`; empty where nothing is known."""

    query: str = ""
    passage: str = ""
    source: str = ""

    @property
    def label(self) -> str:
        """For the signature; empty where there are none."""
        return f" query {self.query!r} passage {self.passage!r}" if self.query or self.passage else ""


INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
# Families by name, from their model cards; the first that fits. Their files mostly say nothing.
FAMILIES = tuple(
    (re.compile(pattern, re.I), prefixes)
    for pattern, prefixes in (
        (r"\be5-.*instruct|gte-qwen.*instruct", Prefixes(INSTRUCTION, "", "instruct")),
        (r"\be5-(small|base|large)", Prefixes("query: ", "passage: ", "e5")),
        (
            r"\bbge-(small|base|large)-en",
            Prefixes("Represent this sentence for searching relevant passages: ", "", "bge"),
        ),
        (r"\bbge-(small|base|large)-zh", Prefixes("为这个句子生成表示以用于检索相关文章：", "", "bge")),
        (r"\bbge-m3\b", Prefixes("", "", "bge-m3")),
        (r"\bgte-", Prefixes("", "", "gte")),
        (r"minilm", Prefixes("", "", "MiniLM")),
    )
)


def own_prefixes(prompts: Mapping[str, str], default: str | None, names: tuple[str, ...]) -> Prefixes:
    """An encoder's: `prompts` and their `default`'s name as its files have them, `names` what it may be called."""
    fallback = prompts.get(default or "", "")
    query = prompts.get("query") or fallback
    passage = next((prompts[name] for name in PASSAGE_PROMPTS if prompts.get(name)), fallback)
    if query or passage:
        return Prefixes(query, passage, "config_sentence_transformers.json")
    for name in names:
        for pattern, known in FAMILIES:
            if pattern.search(name):
                return known
    return Prefixes()


def configured(own: Prefixes, query: str, passage: str) -> Prefixes:
    """The encoder's own where a config says nothing."""
    if not query and not passage:
        return own
    wanted = {"query": query or own.query, "passage": passage or own.passage}
    return Prefixes(**{name: "" if text == NONE else text for name, text in wanted.items()}, source="config")
