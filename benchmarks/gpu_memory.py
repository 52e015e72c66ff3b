"""Peak memory and tokens a second of LoRA, QLoRA-8bit and QLoRA-4bit on a model of CodeLlama-7B's shape.

python -m benchmarks.gpu_memory                     the 7B shape, on the first GPU; 14 GB of disk in --scratch
python -m benchmarks.gpu_memory --shape 1b          about 1.3 billion parameters
python -m benchmarks.gpu_memory --shape tiny        the same path in seconds, on a CPU too

The weights are random: memory and speed do not depend on what they are. Each method is one `harness train` in a
process of its own, with the settings of the PEFT study (arXiv 2308.10462): rank 16 on query, key and value, Adafactor,
8 windows of 192 tokens, bfloat16. The peak is what torch allocated on the GPU (its process's resident set without one);
the study's Figure 1 shows 19.06 GB for LoRA and 9.16 GB for QLoRA-4bit on 7B, as the driver counted them. Tokens a
second are those of all steps, the first and its warm-up included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import tasks
from harness.backends.hf import checkpoint
from harness.config.load import checked
from harness.training import run
from harness.training.config import TrainConfig

TOKENIZER = Path(next(iter(tasks.__path__))) / "demo" / "model"
METHODS = ("lora", "qlora-8bit", "qlora-4bit")
PAPER = {"lora": 19.06, "qlora-4bit": 9.16}  # GB, 7B, Figure 1
SHAPES: Mapping[str, Mapping[str, int]] = {
    "7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 5504,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
}


def base(shape: str, folder: Path) -> Path:
    """A Llama of that shape with random bfloat16 weights, and a tokenizer whose ids are among its 32,016."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = checkpoint.load_tokenizer(TOKENIZER)
    config = LlamaConfig(
        vocab_size=32016, max_position_embeddings=16384, eos_token_id=tokenizer.eos_token_id, **SHAPES[shape]
    )
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with checkpoint.silenced():
            LlamaForCausalLM(config).save_pretrained(folder)
    finally:
        torch.set_default_dtype(before)
    tokenizer.save_pretrained(folder)
    return folder


def rows(file: Path, count: int) -> Path:
    """Rows that are longer than any window, so that no token of a step is padding."""
    answer = "\n".join(f"total_{n} = total_{n - 1} + value[{n}]" for n in range(1, 200))
    row = json.dumps({"instruction": "Add the values up.", "output": answer})
    file.write_text(f"{row}\n" * count, encoding="utf-8")
    return file


def one(method: str, model: Path, out: Path, steps: int, batch: int, length: int) -> dict[str, Any]:
    """Train, and say what it took: GB, tokens a second, trainable parameters."""
    plain = {
        "model": str(model),
        "method": method,
        "dtype": "bfloat16",
        "data": [{"file": str(rows(out.with_suffix(".jsonl"), steps * batch)), "validation": "none"}],
        "packing": {"mode": "pad", "length": length, "batch": batch, "over_long": "truncate_right"},
        "optim": {"optimizer": "adafactor", "max_steps": steps, "precision": "bfloat16"},
        "peft": {"r": 16, "lora_alpha": 32, "lora_dropout": 0.05},
        "log_every": 1,
    }
    _, record = run.train(checked(TrainConfig, plain, "benchmark"), out)
    peak = record["peak_mb"]
    return {
        "method": method,
        "where": "gpu" if "gpu" in peak else "process",
        "gb": peak.get("gpu", peak["process"]) * 2**20 / 1e9,
        "tokens_per_s": record["tokens"]["nominal"] / record["seconds"],
        "trainable": record["parameters"]["trainable"],
        "share_padding": record["data"]["padding"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and speed of adapters on a large base.")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="7b")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=192)
    parser.add_argument("--scratch", type=Path, help="Where the model is written, for the time of the run.")
    parser.add_argument("--method", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.method:  # a process of its own, for a peak of its own
        out = given.model.parent / given.method
        print(json.dumps(one(given.method, given.model, out, given.steps, given.batch, given.length)))
        return
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        model = base(given.shape, Path(name) / "base")
        for method in METHODS:
            settings = [f"--{key}={getattr(given, key)}" for key in ("steps", "batch", "length")]
            command = [
                sys.executable,
                "-m",
                "benchmarks.gpu_memory",
                f"--method={method}",
                f"--model={model}",
            ]
            done = subprocess.run([*command, *settings], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            known = given.shape == "7b" and method in PAPER
            paper = f"; the study {PAPER[method]:.2f} GB" if known else ""
            print(
                f"{method:10} {found['gb']:6.2f} GB ({found['where']}), {found['tokens_per_s']:,.0f} tokens a second,"
                f" {found['trainable']:,} trainable parameters{paper}"
            )


if __name__ == "__main__":
    main()
