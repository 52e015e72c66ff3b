"""Train the demo model: a byte-level BPE tokenizer and a small Llama, on one thread, from a synthetic corpus.

`python -m tasks.demo.train [--out DIR] [--minutes M | --steps N] [--seed S]`

The same seed and number of steps give the same weights on the same machine; `--minutes` fixes the number of
steps from the speed of the first ones, so it does not. Not a general trainer: see `harness train`.
"""

import argparse
import json
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
WINDOW = 384  # tokens; five to six examples and a question
BATCH = 4  # windows a step: few, because at this size the number of steps matters more than their quality
LEARNING_RATE = 6e-3
WARM_UP = 100  # steps
PROBE_STEPS = 20  # steps over which `--minutes` measures the speed
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


def windows(rows: Iterable[corpus.Row], tokenizer: Any) -> Iterator[Encoded]:
    """Pack whole rows into windows and pad what is left over; a row longer than a window is left out."""
    tokens: list[int] = []
    learnt: list[bool] = []
    for row in rows:
        encoded = encode(row, tokenizer)
        if len(encoded.tokens) > WINDOW:
            continue
        if len(tokens) + len(encoded.tokens) > WINDOW:
            gap = WINDOW - len(tokens)
            yield Encoded(tokens + [tokenizer.pad_token_id] * gap, learnt + [False] * gap)
            tokens, learnt = [], []
        tokens += encoded.tokens
        learnt += encoded.learnt


def new_model(tokenizer: Any, seed: int) -> Any:
    """A Llama of 2.4 million parameters with tied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.03,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def loss_of(model: Any, batch: Sequence[Encoded]) -> "torch.Tensor":
    """Mean negative log-likelihood of the answers' tokens; only these go through the output layer."""
    import torch

    tokens = torch.tensor([window.tokens for window in batch])
    learnt = torch.tensor([window.learnt for window in batch])[:, 1:]
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1][learnt]
        logits = model.lm_head(hidden)
    return torch.nn.functional.cross_entropy(logits.float(), tokens[:, 1:][learnt])


def rate_at(step: int, steps: int) -> float:
    """The learning rate: linear warm-up, then straight down to a fiftieth."""
    if step < WARM_UP:
        return LEARNING_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return LEARNING_RATE * max(0.02, 1 - done)


def optimisers(model: Any) -> "list[torch.optim.Optimizer]":
    """Muon for the matrices in the layers, AdamW for the rest: half the steps that AdamW alone needs."""
    import torch

    inner = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
    outer = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=LEARNING_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(outer, lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def optimise(model: Any, stream: Iterator[Encoded], steps: int, minutes: float) -> int:
    """Train in place; with `minutes`, `steps` is set from the measured speed. Returns the number of steps."""
    import torch

    both = optimisers(model)
    model.train()
    started = time.monotonic()
    average, step = 0.0, 0
    while step < steps:
        for optimiser in both:
            optimiser.param_groups[0]["lr"] = rate_at(step, steps)
            optimiser.zero_grad()
        loss = loss_of(model, list(islice(stream, BATCH)))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in both:
            optimiser.step()
        step += 1
        average = loss.item() if step == 1 else 0.98 * average + 0.02 * loss.item()
        seconds = time.monotonic() - started
        if minutes and step == PROBE_STEPS:
            steps = max(step, int(minutes * 60 / (seconds / step)))
        if step % 100 == 0 or step == steps:
            speed = step * BATCH * WINDOW / seconds
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


def train(out: Path, steps: int, minutes: float, seed: int) -> None:
    import torch

    torch.set_num_threads(1)
    tokenizer = train_tokenizer(row.text for row in islice(corpus.rows(seed), TOKENIZER_ROWS))
    model = new_model(tokenizer, seed)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(f"{parameters:,} parameters", flush=True)
    started = time.monotonic()
    steps = optimise(model, windows(corpus.rows(seed + 1), tokenizer), steps, minutes)
    seconds = round(time.monotonic() - started)
    save(model, tokenizer, out)
    record = {
        "seed": seed,
        "steps": steps,
        "window": WINDOW,
        "batch": BATCH,
        "seconds": seconds,
        "parameters": parameters,
    }
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the demo model.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for the model")
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps")
    parser.add_argument("--minutes", type=float, default=0.0, help="choose the steps to take about this long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.out, options.steps, options.minutes, options.seed)


if __name__ == "__main__":
    main()
