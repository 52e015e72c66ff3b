"""Words, fused lists and rerankers put hits in order; one line for what a user gets wrong."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.config.run import RetrievalConfig
from harness.errors import ConfigError
from harness.prompts.retrieval import bm25, encoder, fusion, load_retriever
from harness.prompts.retrieval.encoder import quiet
from tests.support.command import harness
from tests.support.parts.hits import TEXTS, forbid, rows


def test_bm25_is_lucenes_formula() -> None:
    """idf = ln(1 + (N - n + 0.5) / (n + 0.5)); tf / (tf + k1 (1 - b + b length / mean length))."""
    texts = ["a b", "b c c", "d"]
    ((*hits,),) = bm25.bm25_retriever(texts)(["b c nowhere"], 3)
    mean = 2.0

    def weight(tf: int, length: int, having: int) -> float:
        idf = math.log(1 + (3 - having + 0.5) / (having + 0.5))
        return idf * tf / (tf + 1.5 * (1 - 0.75 + 0.75 * length / mean))

    assert [row for row, _ in hits] == [1, 0, 2]
    wanted = [weight(1, 3, 2) + weight(2, 3, 1), weight(1, 2, 2), 0.0]
    assert [score for _, score in hits] == pytest.approx(wanted, abs=1e-6)


def test_a_question_without_known_words_finds_the_rows_in_order() -> None:
    retrieve = bm25.bm25_retriever(TEXTS)
    assert rows(retrieve(["", "?!", "zebra"], 3)) == [[0, 1, 2]] * 3
    assert rows(bm25.bm25_retriever(["", "?"])(["x"], 2)) == [[0, 1]]


def test_names_are_found_whole_and_in_parts() -> None:
    assert bm25.tokenize("df.to_csv('A b')") == ["df", "to_csv", "to", "csv", "a", "b"]


def given_lists(*lists: list[int]) -> Any:
    return lambda questions, depth: [[(row, 0.0) for row in own[:depth]] for own in lists[: len(questions)]]


def test_reciprocal_ranks_are_summed_over_the_lists() -> None:
    retrieve = fusion.reciprocal_rank_fusion([given_lists([4, 2, 7]), given_lists([2, 9])])
    (hits,) = retrieve(["q"], 3)
    assert hits == [(2, 1 / 62 + 1 / 61), (4, 1 / 61), (9, 1 / 62)]


def test_a_reranker_sees_question_and_text_of_each_hit_and_orders_them() -> None:
    seen: list[tuple[str, str]] = []

    def by_length(pairs: Sequence[tuple[str, str]]) -> list[float]:
        seen.extend(pairs)
        return [float(len(text)) for _, text in pairs]

    retrieve = fusion.reranked(given_lists([0, 1, 3], [2]), TEXTS, by_length)
    assert rows(retrieve(["one", "two"], 2)) == [[3, 1], [2]]
    assert seen == [("one", TEXTS[0]), ("one", TEXTS[1]), ("one", TEXTS[3]), ("two", TEXTS[2])]


def test_hybrid_fuses_both_lists_and_names_both(tmp_path: Path) -> None:
    lists = {
        method: load_retriever(
            RetrievalConfig(encoder="mini", method=method, cache=str(tmp_path)), TEXTS, "cpu", quiet, forbid
        )
        for method in ("dense", "bm25", "hybrid")
    }
    ask = ["reverse the list `words`"]
    fused = fusion.reciprocal_rank_fusion([lists["dense"].retrieve, lists["bm25"].retrieve])(ask, 4)
    assert lists["hybrid"].retrieve(ask, 4) == fused
    assert fused[0][0][0] == 1
    assert lists["hybrid"].label == f"{lists['dense'].label} + bm25"
    assert lists["hybrid"].identity["bm25"] == "lucene k1 1.5 b 0.75 words"


def build_cross_encoder(folder: Path) -> Path:
    """A tiny random cross-encoder with the mini encoder's words."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    source = encoder.mini_folder() / "tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(source), unk_token="[UNK]", pad_token="[UNK]")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            num_labels=1,
            initializer_range=0.5,
        )
        model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_cross_encoder_from_a_folder_reorders_the_hits(tmp_path: Path) -> None:
    folder = build_cross_encoder(tmp_path / "cross")
    config = RetrievalConfig(method="bm25", rerank=str(folder), cache=str(tmp_path))
    opened = load_retriever(config, TEXTS, "cpu", quiet, forbid)
    score, name, sha = fusion.load_cross_encoder(str(folder), "cpu")
    (own,) = opened.retrieve(["sort `y`"], 4)
    wanted = score([("sort `y`", text) for text in TEXTS])
    assert dict(own) == pytest.approx(dict(enumerate(wanted)), abs=1e-5)
    assert [row for row, _ in own] == sorted(range(4), key=lambda row: -wanted[row])
    assert len(set(wanted)) == 4
    assert opened.label == f"bm25 + rerank {name}:{sha[:8]}"
    assert opened.identity["rerank"] == {"model": str(folder), "digest": sha}


def test_a_similarity_limit_without_cosines_is_refused() -> None:
    config = RetrievalConfig(method="hybrid", near_duplicate=0.9)
    with pytest.raises(
        ConfigError, match=r"^retrieval\.near_duplicate is a cosine, and retrieval\.method = 'hybrid'"
    ):
        load_retriever(config, TEXTS, "cpu", quiet, forbid)


def test_the_command_line_says_what_is_wrong_with_an_encoder(tmp_path: Path) -> None:
    ended = harness(
        "tasks",
        "conala",
        "--prompt",
        "--data",
        "mini",
        "--set",
        "shots=rag:2",
        "--set",
        f"retrieval.encoder={tmp_path}",
    )
    assert ended.complaint.startswith(f"encoder folder {tmp_path} is no encoder")
