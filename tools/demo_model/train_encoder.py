"""Train the small encoder: a static embedding whose vectors are near when two questions ask the same operation.

`python -m tools.demo_model.train_encoder [--out DIR] [--steps N] [--seed S]`

Pairs of wordings come from the synthetic corpus and from the training rows of mini CoNaLa; no test row is read. A
minute on one thread. The same seed gives the same file on the same machine. Not a general text encoder.
"""

import argparse
import ast
import json
import random
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harness.files import packaged
from tools.demo_model import corpus

VOCABULARY = 3072
DIMENSION = 64
WORDINGS = 20_000  # questions that the tokenizer and the weights of words are made from
BATCH = 256  # pairs; every other pair of a batch is a wrong answer
TEMPERATURE = 0.05
LEARNING_RATE = 0.02
FROM_ROWS = 0.25  # share of pairs from the training rows of mini CoNaLa
RARITY = 1e-3  # of a word's share of the text at which its vector begins at half length (Arora et al. 2017)
UNKNOWN = "[UNK]"
DEFAULT_OUT = packaged("tasks/demo/encoder")
CARD = """\
# Small encoder

A static embedding (sentence-transformers `StaticEmbedding`): {words:,} word pieces, {dimension} dimensions, so that
retrieval can be tried and tested offline. It puts short Python questions near each other that ask for the same
operation. It is not a useful text encoder.

Trained from scratch by `python -m tools.demo_model.train_encoder --steps {steps} --seed {seed}` on pairs of
wordings from the synthetic texts of `tools.demo_model.corpus` and from the training rows of mini CoNaLa.
"""

Pair = tuple[str, str]


def shape(code: str) -> str:
    """A snippet without its names and literals: rows of one shape ask the same operation."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = "name"
        elif isinstance(node, ast.Constant):
            node.value = 0
    return ast.dump(tree)


def wordings_of_rows() -> list[list[str]]:
    """The questions of mini CoNaLa's training rows, those of one operation together."""
    rows = json.loads((corpus.MINI / "conala" / "conala-train.json").read_text(encoding="utf-8"))
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(shape(row["snippet"]), []).append(row["rewritten_intent"] or row["intent"])
    return [group for group in groups.values() if len(group) > 1]


def pairs(seed: int, groups: Sequence[Sequence[str]]) -> Iterator[Pair]:
    """Two wordings of one operation, without end."""
    rng = random.Random(seed)
    known = (*corpus.one_liners(), *corpus.family_one_liners())
    while True:
        if groups and rng.random() < FROM_ROWS:
            one, two = rng.sample(list(rng.choice(groups)), 2)
        else:
            operation = rng.choice(known)
            one, two = (corpus.asked(operation, rng)[0] for _ in range(2))
        yield one, two


def train_tokenizer(texts: Sequence[str]) -> Any:
    """A lower-case word-piece tokenizer; digits and punctuation marks stand alone."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=True),
        ]
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[UNKNOWN],
        initial_alphabet=[chr(code) for code in range(33, 127)],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def first_weights(tokenizer: Any, texts: Sequence[str], seed: int) -> Any:
    """Random directions; words that are everywhere begin short."""
    import torch

    counts = torch.zeros(tokenizer.get_vocab_size())
    for encoding in tokenizer.encode_batch(list(texts)):
        counts.index_add_(0, torch.tensor(encoding.ids), torch.ones(len(encoding.ids)))
    shares = counts / counts.sum()
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(len(counts), DIMENSION, generator=generator)
    return weights * (RARITY / (RARITY + shares)).unsqueeze(1)


def optimise(bag: Any, tokenizer: Any, stream: Iterator[Pair], steps: int) -> None:
    """Each wording's nearest of the batch shall be its partner (InfoNCE, van den Oord et al. 2018)."""
    import torch
    from torch.nn import functional

    optimiser = torch.optim.Adam(bag.parameters(), lr=LEARNING_RATE)

    def embed(texts: Sequence[str]) -> Any:
        ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
        starts = torch.tensor([0, *(len(own) for own in ids[:-1])]).cumsum(0)
        flat = torch.tensor([token for own in ids for token in own])
        return functional.normalize(bag(flat, starts), dim=-1)

    for step in range(steps):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / steps)
        ones, twos = zip(*islice(stream, BATCH), strict=True)
        near = embed(ones) @ embed(twos).T / TEMPERATURE
        right = torch.arange(BATCH)
        loss = (functional.cross_entropy(near, right) + functional.cross_entropy(near.T, right)) / 2
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1}/{steps}  loss {loss.item():.3f}", flush=True)


def train(steps: int, seed: int, groups: Sequence[Sequence[str]]) -> tuple[Any, Any]:
    """(tokenizer, weights [pieces, dimensions])."""
    import torch

    torch.set_num_threads(1)
    texts = [text for pair in islice(pairs(seed, groups), WORDINGS // 2) for text in pair]
    tokenizer = train_tokenizer(texts)
    weights = first_weights(tokenizer, texts, seed)
    bag = torch.nn.EmbeddingBag.from_pretrained(weights, freeze=False, mode="mean")
    optimise(bag, tokenizer, pairs(seed + 1, groups), steps)
    return tokenizer, bag.weight.detach()


def save(out: Path, tokenizer: Any, weights: Any) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    embedding = StaticEmbedding(tokenizer, embedding_weights=weights.numpy())
    SentenceTransformer(modules=[embedding], device="cpu").save(str(out), create_model_card=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the small encoder.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the encoder")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tokenizer, weights = train(options.steps, options.seed, wordings_of_rows())
    save(options.out, tokenizer, weights)
    card = CARD.format(words=len(weights), dimension=DIMENSION, steps=options.steps, seed=options.seed)
    (options.out / "README.md").write_text(card, encoding="utf-8")


if __name__ == "__main__":
    main()
