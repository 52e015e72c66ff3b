"""What the demo model is trained from: a base folder (tokenizer, random Llama) and its corpus as JSON lines.

    python -m tools.demo_model.prepare [--out results/demo] [--rows N] [--seed S]
    harness train tasks/recipes/demo.toml --out results/demo/model

writes `base/`, `corpus.jsonl` and `validation.jsonl`, then trains. The same seed gives the same files.
"""

import argparse
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from tools.demo_model import corpus

EOS = "<|endoftext|>"
PAD = "<|pad|>"
VOCABULARY = 2048
TOKENIZER_ROWS = 30_000
ROWS = 150_000
HELD = 400  # validation rows
DEFAULT_OUT = Path("results") / "demo"


def train_tokenizer(texts: Iterable[str]) -> Any:
    """Return a byte-level BPE tokenizer in which every digit and every line break is a token of its own.

    So a prompt that ends with a line break has the same tokens alone and with its answer behind it.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("\n"), "isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
    )


def new_model(tokenizer: Any, seed: int) -> Any:
    """A Llama of 2.4 million parameters with tied embeddings and random weights."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.03,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    return model


def write_rows(path: Path, rows: Iterable[corpus.Row]) -> None:
    """One object a row: turns of prompt and answer, to the letter; `learn` is false where nothing leads to it."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            turns = [{"prompt": t.prompt, "answer": t.answer, "learn": t.knowable} for t in row.turns]
            file.write(json.dumps({"turns": turns}) + "\n")


def prepare(out: Path, rows: int, seed: int) -> None:
    base = out / "base"
    base.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(row.text for row in islice(corpus.rows(seed), TOKENIZER_ROWS))
    tokenizer.save_pretrained(base)
    new_model(tokenizer, seed).save_pretrained(base)
    write_rows(out / "corpus.jsonl", islice(corpus.rows(seed + 1), rows))
    write_rows(out / "validation.jsonl", islice(corpus.rows(seed + 2, copying=0.0), HELD))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo model's base and corpus.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for base and corpus")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the corpus")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prepare(options.out, options.rows, options.seed)


if __name__ == "__main__":
    main()
