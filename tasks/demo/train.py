"""Train the demo model: a byte-level BPE tokenizer and a small Llama, on one thread, from a synthetic corpus.

`python -m tasks.demo.train [--out DIR] [--minutes M | --steps N] [--seed S]`

The same seed and number of steps give the same weights on the same machine; `--minutes` fixes the number of
steps from the speed of the first ones, so it does not. Not a general trainer: see `harness train`.
"""

import argparse
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.demo import corpus

if TYPE_CHECKING:
    import torch

EOS = "<|endoftext|>"
PAD = "<|pad|>"
VOCABULARY = 2048
TOKENIZER_ROWS = 30_000
IGNORED = -100  # label of a token that is not learnt
LONGEST = 400  # tokens; six examples and a question fit
BATCH_TOKENS = 2048  # few, because at this size the number of steps matters more than their quality
POOL = 512  # rows that are sorted by length together
LEARNING_RATE = 6e-3
WARM_UP = 100  # steps
PROBE_STEPS = 20  # steps over which `--minutes` measures the speed
CARD = """\
# Demo model

A Llama of {parameters:,} parameters (bf16) with a byte-level BPE tokenizer, so that the harness can be tried
and tested offline in a minute. It answers short Python instructions, completes short functions and copies the
pattern of an example in its prompt.

It is not a useful code model. It knows nothing beyond its corpus, and no score of it compares with that of
another model.

Prompts it knows: `### Instruction:\\n{{question}}\\n### Response:\\n`, with up to six solved ones before it
and a blank line between, and a function's signature and docstring. An answer ends with `<|endoftext|>`.

Trained from scratch by `python -m tasks.demo.train --steps {steps} --seed {seed}` on the synthetic texts of
`tasks.demo.corpus`: {steps:,} steps of about {tokens:,} tokens, rows of at most {longest} tokens, one CPU
thread, {minutes:.0f} minutes. The rows of `tasks/mini` are filtered out of the corpus, and 40 of the 100
operations that mini CoNaLa asks for are not in it at all: those it can only copy from examples.
"""
DEFAULT_OUT = Path(__file__).parent / "model"


@dataclass(frozen=True)
class Encoded:
    """Tokens, and for each whether predicting it counts in the loss: answers do, questions do not."""

    tokens: list[int]
    learnt: list[bool]


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


def encode(row: corpus.Row, tokenizer: Any) -> Encoded:
    """Tokenise prompt and answer apart, as they meet at generation, and end the last answer."""
    parts = [part for turn in row.turns for part in (turn.prompt, turn.answer)]
    counted = [flag for turn in row.turns for flag in (False, turn.knowable)]
    tokens: list[int] = []
    learnt: list[bool] = []
    for encoding, flag in zip(tokenizer.backend_tokenizer.encode_batch(parts), counted, strict=True):
        tokens += encoding.ids
        learnt += [flag] * len(encoding.ids)
    return Encoded([*tokens, tokenizer.eos_token_id], [*learnt, counted[-1]])


def batches(rows: Iterable[corpus.Row], tokenizer: Any, seed: int) -> Iterator[list[Encoded]]:
    """Group rows of like length, about `BATCH_TOKENS` tokens each; rows over `LONGEST` are left out.

    Rows are not packed behind each other: attention over several rows took half of the time and mixed them.
    """
    rng = random.Random(seed)
    encoded = (encode(row, tokenizer) for row in rows)
    short = (row for row in encoded if len(row.tokens) <= LONGEST)
    while pool := sorted(islice(short, POOL), key=lambda row: len(row.tokens)):
        groups: list[list[Encoded]] = [[]]
        for row in pool:
            if len(row.tokens) * (len(groups[-1]) + 1) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        yield from groups


def padded(batch: Sequence[Encoded]) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Tokens and labels as [rows, tokens]; a label is the token, or -100 where it is not learnt.

    The width is a multiple of 16: every new shape costs the CPU library a compilation.
    """
    import torch

    width = -max(len(row.tokens) for row in batch) // 16 * -16
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), width), IGNORED)
    for i, row in enumerate(batch):
        ids = torch.tensor(row.tokens)
        tokens[i, : len(ids)] = ids
        labels[i, : len(ids)] = torch.where(torch.tensor(row.learnt), ids, IGNORED)
    return tokens, labels


def new_model(tokenizer: Any, seed: int) -> Any:
    """A Llama of 2.4 million parameters with tied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

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
    model.set_attn_implementation("eager")  # on a CPU, for rows this short, faster than the fused kernel
    return model


def loss_of(model: Any, batch: Sequence[Encoded]) -> "torch.Tensor":
    """Mean negative log-likelihood of the answers' tokens; only these go through the output layer."""
    import torch

    tokens, labels = padded(batch)
    following = labels[:, 1:].flatten()
    where = (following != IGNORED).nonzero().flatten()
    # Position 0 predicts the second token of a prompt, which is not learnt: repeating it changes nothing.
    where = torch.nn.functional.pad(where, (0, -len(where) % 128))
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1].flatten(0, 1)
        logits = model.lm_head(hidden[where])
    return torch.nn.functional.cross_entropy(logits.float(), following[where], ignore_index=IGNORED)


def rate_at(step: int, steps: int, peak: float) -> float:
    """The learning rate: linear warm-up, then straight down to a fiftieth."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return peak * max(0.02, 1 - done)


def optimisers(model: Any) -> "list[torch.optim.Optimizer]":
    """Muon for the matrices in the layers, AdamW for the rest: half the steps that AdamW alone needs."""
    import torch

    inner = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    outer = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=LEARNING_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def optimise(model: Any, stream: Iterator[list[Encoded]], steps: int, minutes: float, peak: float) -> int:
    """Train in place; with `minutes`, `steps` is set from the measured speed. Returns the number of steps."""
    import torch

    both = optimisers(model)
    model.train()
    started = time.monotonic()
    average, step, tokens = 0.0, 0, 0
    while step < steps:
        for optimiser in both:
            optimiser.param_groups[0]["lr"] = rate_at(step, steps, peak)
            optimiser.zero_grad()
        batch = next(stream)
        loss = loss_of(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in both:
            optimiser.step()
        step += 1
        tokens += sum(len(row.tokens) for row in batch)
        average = loss.item() if step == 1 else 0.98 * average + 0.02 * loss.item()
        seconds = time.monotonic() - started
        if minutes and step == PROBE_STEPS:
            steps = max(step, int(minutes * 60 / (seconds / step)))
        if step % 100 == 0 or step == steps:
            speed = tokens / seconds
            left = seconds / step * (steps - step)
            print(
                f"step {step}/{steps}  loss {average:.3f}  {speed:,.0f} tokens/s  {left:,.0f} s left",
                flush=True,
            )
    return steps


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write bf16 weights, config, generation config and tokenizer files."""
    import torch
    from transformers import GenerationConfig

    out.mkdir(parents=True, exist_ok=True)
    model.eval().to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=128,
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def load(folder: Path) -> tuple[Any, Any]:
    """The model and the tokenizer of an earlier run, in full precision."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    return AutoModelForCausalLM.from_pretrained(folder, **options), AutoTokenizer.from_pretrained(folder)


def train(out: Path, start: Path | None, steps: int, minutes: float, seed: int) -> None:
    import torch

    torch.set_num_threads(1)
    if start:
        model, tokenizer = load(start)
    else:
        tokenizer = train_tokenizer(row.text for row in islice(corpus.rows(seed), TOKENIZER_ROWS))
        model = new_model(tokenizer, seed)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"{parameters:,} parameters", flush=True)
    started = time.monotonic()
    peak = LEARNING_RATE / 2 if start else LEARNING_RATE
    rows = corpus.rows(seed + 1, copying=0.0 if start else 0.4)
    steps = optimise(model, batches(rows, tokenizer, seed), steps, minutes, peak)
    seconds = time.monotonic() - started
    save(model, tokenizer, out)
    card = CARD.format(
        parameters=parameters,
        steps=steps,
        seed=seed,
        minutes=seconds / 60,
        tokens=BATCH_TOKENS,
        longest=LONGEST,
    )
    (out / "README.md").write_text(card, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo model.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the model")
    parser.add_argument("--start", type=Path, help="folder of a model to go on from")
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps")
    parser.add_argument("--minutes", type=float, default=0.0, help="choose the steps to take about this long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.out, options.start, options.steps, options.minutes, options.seed)


if __name__ == "__main__":
    main()
