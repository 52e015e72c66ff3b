"""What the demo chat model is trained from: the demo model with a chat's marks and template, and its corpus.

    python -m tools.demo_model.prepare_chat [--out results/demo/chat] [--rows N] [--seed S]
    harness train tasks/recipes/demo_chat.toml --out results/demo/chat/model

writes `base/`, `corpus.jsonl` and `validation.jsonl`, then trains. The same seed gives the same files.
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import Any

from harness.files import packaged
from tools.demo_model import chats
from tools.demo_model.prepare import EOS, write_rows

ROWS = 5_000
HELD = 100  # validation rows
DEFAULT_OUT = Path("results") / "demo" / "chat"


def with_chat(tokenizer: Any) -> Any:
    """The tokenizer with four more tokens and a chat template; an answer ends with the end of its turn.

    The marks of a turn are special tokens, those of a thought are not: so do Qwen3 and DeepSeek-R1 have it.
    """
    from transformers import AddedToken

    tokenizer.add_special_tokens(
        {"additional_special_tokens": [chats.BEGIN, chats.END]}, replace_extra_special_tokens=False
    )
    marks = [AddedToken(mark, special=False, normalized=False) for mark in (chats.THINK, chats.THOUGHT)]
    tokenizer.add_tokens(marks)
    tokenizer.eos_token = chats.END
    tokenizer.chat_template = chats.TEMPLATE
    return tokenizer


def with_room(model: Any, tokenizer: Any) -> Any:
    """The model with embeddings for the new tokens: the end of a turn begins as the end of a text, which it is,
    the others as the mean of all."""
    import torch

    old = model.get_input_embeddings().weight.detach().clone()
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    new = model.get_input_embeddings().weight
    end_of_text, end = (tokenizer.convert_tokens_to_ids(token) for token in (EOS, chats.END))
    with torch.no_grad():
        new[: len(old)] = old
        new[len(old) :] = old.mean(0)
        new[end] = old[end_of_text]
    model.config.eos_token_id = end
    model.generation_config.eos_token_id = [end, end_of_text]
    return model


def prepare(model: Path, out: Path, rows: int, seed: int) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = out / "base"
    base.mkdir(parents=True, exist_ok=True)
    tokenizer = with_chat(AutoTokenizer.from_pretrained(model))
    tokenizer.save_pretrained(base, save_jinja_files=False)
    with_room(AutoModelForCausalLM.from_pretrained(model), tokenizer).save_pretrained(base)
    write_rows(out / "corpus.jsonl", islice(chats.rows(seed + 1), rows))
    write_rows(out / "validation.jsonl", islice(chats.rows(seed + 2), HELD))


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo chat model's base and corpus.")
    parser.add_argument("--model", type=Path, default=packaged("tasks/demo/model"), help="the demo model")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder for base and corpus")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the corpus")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prepare(options.model, options.out, options.rows, options.seed)


if __name__ == "__main__":
    main()
