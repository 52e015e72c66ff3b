"""Encoders: what their files say is done, known families get their prefixes, no library's bar reaches stderr."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.config.run import RetrievalConfig
from harness.errors import ConfigError, UserError
from harness.prompts.retrieval import encoder, load_retriever, prefixes
from harness.prompts.retrieval.prefixes import Prefixes
from tests.support.parts.hits import TEXTS, forbid

Vectors = NDArray[np.float32]


def test_the_small_encoder_is_small_and_finds_other_words_for_the_same() -> None:
    folder = encoder.mini_folder()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 2_000_000
    mini = encoder.load_encoder("mini", None, "cpu")
    (vectors,) = mini.encode(["reverse list `a`", "list `nums` in reverse order", "open url 'x.org'"])
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-6)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]


def test_a_prefix_is_put_before_each_text() -> None:
    mini = encoder.load_encoder("mini", None, "cpu")
    (prefixed,) = mini.encode(["sort `x`"], prefix="query: ")
    (written,) = mini.encode(["query: sort `x`"])
    (bare,) = mini.encode(["sort `x`"])
    assert np.array_equal(prefixed, written)
    assert not np.array_equal(prefixed, bare)


def test_a_folder_given_by_its_path_is_the_same_encoder(tmp_path: Path) -> None:
    mini = encoder.load_encoder("mini", None, "cpu")
    other = encoder.load_encoder(str(encoder.mini_folder()), None, "cpu")
    assert (other.digest, other.dimension, other.name) == (mini.digest, mini.dimension, "encoder")


def test_progress_is_told_before_each_batch_and_at_the_end_and_long_lists_come_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoder, "PART", 3)
    monkeypatch.setattr(encoder, "BATCH", 2)
    told: list[tuple[int, int]] = []
    mini = encoder.load_encoder("mini", None, "cpu")
    parts = list(mini.encode(TEXTS, step=lambda done, total: told.append((done, total))))
    assert [len(part) for part in parts] == [3, 1]
    assert told == [(0, 4), (2, 4), (3, 4), (4, 4)]
    (later,) = mini.encode(TEXTS, start=3)
    assert np.array_equal(later, parts[1])
    monkeypatch.undo()
    (whole,) = mini.encode(TEXTS)
    assert np.array_equal(np.concatenate(parts), whole)


def no_folder(folder: Path) -> str:
    return str(folder / "missing")


def no_encoder(folder: Path) -> str:
    (folder / "config.json").write_text("{}")
    return str(folder)


def broken_encoder(folder: Path) -> str:
    (folder / "modules.json").write_text(
        json.dumps([{"idx": 0, "name": "0", "path": "", "type": "no.such.Module"}])
    )
    return str(folder)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (no_folder, "encoder folder '{}/missing' does not exist; or use the project's own small one: --set"),
        (no_encoder, "encoder folder {} is no encoder: it has no modules.json; expected a model saved by"),
        (broken_encoder, "cannot load the encoder in {}: "),
        (
            lambda folder: "no/such",
            "no encoder 'no/such': it is not a folder here, and the hub cache does not hold",
        ),
    ],
)
def test_what_is_no_encoder_is_one_line(make: Any, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        encoder.load_encoder(make(tmp_path), None, "cpu")
    assert str(caught.value).startswith(complaint.format(tmp_path))
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- what an encoder's files say


def build_encoder(folder: Path, pooling: str, similarity: str = "cosine", **prompts: str) -> Path:
    """A tiny random BERT as sentence-transformers saves it, without a Normalize module."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    source = encoder.mini_folder() / "tokenizer.json"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(source), unk_token="[UNK]", pad_token="[UNK]")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=16,
                initializer_range=0.5,
            )
        )
    model.save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    modules = [Transformer(str(folder / "bert")), Pooling(16, pooling_mode=pooling)]
    made = SentenceTransformer(modules=modules, prompts=prompts, similarity_fn_name=similarity, device="cpu")
    made.save(str(folder / "encoder"))
    return folder / "encoder"


def last_hidden(folder: Path, text: str) -> Any:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    return (
        AutoModel.from_pretrained(folder)(**tokenizer(text, return_tensors="pt"))
        .last_hidden_state[0]
        .detach()
    )


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_pooling_is_that_of_the_encoders_files(pooling: str, tmp_path: Path) -> None:
    folder = build_encoder(tmp_path, pooling)
    loaded = encoder.load_encoder(str(folder), None, "cpu")
    (vectors,) = loaded.encode(TEXTS[:1])
    states = last_hidden(folder, TEXTS[0])
    wanted = (states[0] if pooling == "cls" else states.mean(0)).numpy()
    assert vectors[0] == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-5)


def test_an_encoder_that_compares_by_dot_product_keeps_its_lengths(tmp_path: Path) -> None:
    folder = build_encoder(tmp_path, "mean", "dot")
    config = RetrievalConfig(encoder=str(folder), cache=str(tmp_path / "index"))
    opened = load_retriever(config, TEXTS, "cpu", encoder.quiet, forbid)
    states = [last_hidden(folder, text).mean(0).numpy().astype(np.float64) for text in (*TEXTS, "sort `y`")]
    (hits,) = opened.retrieve(["sort `y`"], 4)
    dots = {row: float(states[-1] @ states[row]) for row in range(4)}
    assert max(dots.values()) > 2
    assert dict(hits) == pytest.approx(dots, rel=1e-4)
    assert [row for row, _ in hits] == sorted(dots, key=lambda row: -dots[row])
    with pytest.raises(
        ConfigError, match=r"^retrieval\.near_duplicate is a cosine, and encoder 'encoder' compares by"
    ):
        load_retriever(config.model_copy(update={"near_duplicate": 0.9}), TEXTS, "cpu", encoder.quiet, forbid)


def test_prefixes_of_the_encoders_files_are_put_before_texts_and_said(tmp_path: Path) -> None:
    folder = build_encoder(tmp_path, "mean", query="ask: ", document="told: ")
    loaded = encoder.load_encoder(str(folder), None, "cpu")

    def cosine(query: str, passage: str) -> float:
        (one,), (other,) = (np.concatenate(list(loaded.encode([text]))) for text in (query, passage))
        return float(one @ other)

    def best(**given: str) -> tuple[float, str]:
        config = RetrievalConfig(encoder=str(folder), cache=str(tmp_path / "index"), **given)
        opened = load_retriever(config, TEXTS[:1], "cpu", encoder.quiet, forbid)
        return opened.retrieve(["order `y`"], 1)[0][0][1], opened.label.partition(" ")[2]

    own, bare, mixed = best(), best(query_prefix="none", passage_prefix="none"), best(passage_prefix="p ")
    assert own == (
        pytest.approx(cosine("ask: order `y`", "told: sort list `x`"), abs=1e-5),
        "query 'ask: ' passage 'told: '",
    )
    assert bare == (pytest.approx(cosine("order `y`", "sort list `x`"), abs=1e-5), "")
    assert mixed == (
        pytest.approx(cosine("ask: order `y`", "p sort list `x`"), abs=1e-5),
        "query 'ask: ' passage 'p '",
    )


BGE_EN = "Represent this sentence for searching relevant passages: "


@pytest.mark.parametrize(
    ("name", "query", "passage"),
    [
        ("intfloat/e5-small-v2", "query: ", "passage: "),
        ("/models/multilingual-e5-large", "query: ", "passage: "),
        ("intfloat/multilingual-e5-large-instruct", prefixes.INSTRUCTION, ""),
        ("models--BAAI--bge-small-en-v1.5", BGE_EN, ""),
        ("BAAI/bge-large-zh", "为这个句子生成表示以用于检索相关文章：", ""),
        ("BAAI/bge-m3", "", ""),
        ("thenlper/gte-small", "", ""),
        ("sentence-transformers/all-MiniLM-L6-v2", "", ""),
        ("nobody/knows", "", ""),
    ],
)
def test_known_families_get_their_prefixes_by_name(name: str, query: str, passage: str) -> None:
    found = prefixes.own_prefixes({"query": "", "document": ""}, None, (name,))
    assert (found.query, found.passage) == (query, passage)
    assert bool(found.source) == (name != "nobody/knows")


def test_an_encoders_files_are_believed_before_its_name() -> None:
    own = prefixes.own_prefixes({"query": "q: ", "passage": "p: "}, None, ("intfloat/e5-small",))
    assert own == Prefixes("q: ", "p: ", "config_sentence_transformers.json")
    assert prefixes.own_prefixes({"any": "a: "}, "any", ("x",)).passage == "a: "
    assert prefixes.own_prefixes({"any": "a: "}, None, ("x",)) == Prefixes()


def test_a_folder_named_after_a_family_is_of_it_and_its_signature_says_so(tmp_path: Path) -> None:
    folder = build_encoder(tmp_path, "mean").rename(tmp_path / "e5-small-v2")
    config = RetrievalConfig(encoder=str(folder), cache=str(tmp_path / "index"))
    opened = load_retriever(config, TEXTS, "cpu", encoder.quiet, forbid)
    assert opened.label.endswith(" query 'query: ' passage 'passage: '")
    assert opened.identity["encoder"]["prefixes"] == {
        "query": "query: ",
        "passage": "passage: ",
        "source": "e5",
    }


LOADS = """
import sys
from harness.prompts.retrieval.encoder import load_encoder
print([part.shape for part in load_encoder(sys.argv[1], None, "cpu").encode(["a"] * 200)])
"""


def test_no_librarys_progress_bar_reaches_the_terminal(tmp_path: Path) -> None:
    folder = build_encoder(tmp_path, "mean")
    ended = subprocess.run(
        [sys.executable, "-c", LOADS, str(folder)], capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("[(200, 16)]\n", "")
