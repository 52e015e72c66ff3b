"""Tokens a second of the hf backend, side by side with four other ways: python benchmarks/generation.py [--quick]

  a  transformers' `generate`, one prompt at a time (all its samples in one call), as evaluation scripts do
  b  transformers' `generate` on fixed batches of --batch rows, in file order, padded on the left
  s  the same batches with the prompts sorted by length, longest first, so that little is padded
  c  transformers' continuous batching (`generate_batch`), which has no beam search
  h  the hf backend with --batch rows (0: its own choice)

on the demo model and on a Llama of random weights (--shape), prompts of HumanEval and CoNaLa (mini, or the
benchmarks' own with HARNESS_DATA), greedy, drawn, and ten beams; one thread, float32. All stop at end-of-text or
--tokens, without stop strings; random weights never stop. Rounds are interleaved, the figures are medians, and
only tokens before the end count. a runs on every fourth prompt: it is a rate. On a CPU time is CPU time, so
that other work on the machine does not count; elsewhere it is wall time.

Greedy texts of all five are compared: float32 differs in its last bits between them, so a few may differ.

On a GPU:

  python benchmarks/generation.py --device cuda --shape 7b --dtype bfloat16 --profile fast --batch 128 --tokens 256
"""

import argparse
import copy
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig, LlamaForCausalLM

from harness import tasks
from harness.backends.hf import onednn_linear
from harness.backends.hf.model_runner import ModelRunner
from harness.backends.hf.scheduler import Engine
from harness.backends.hf.tokenizer import Codec
from harness.config.load import parse
from harness.runs import plan as planning
from harness.schema import Prompt, Request, Sampling

DEMO = Path(next(iter(tasks.__path__))) / "demo" / "model"
# name: hidden, intermediate, layers, heads, key-value heads, vocabulary
SHAPES: Mapping[str, tuple[int, int, int, int, int, int]] = {
    "tiny": (64, 160, 2, 4, 4, 2048),
    "30m": (512, 1376, 9, 8, 8, 2048),
    "1b": (2048, 5504, 22, 32, 4, 32000),
    "7b": (4096, 11008, 32, 32, 32, 32000),
}
SETTINGS: Mapping[str, dict[str, Any]] = {
    "greedy": {},
    "drawn": {"temperature": 0.8, "top_p": 0.95},
    "drawn, n = 10": {"temperature": 0.8, "top_p": 0.95, "samples": 10},
    "10 beams": {"beams": 10, "samples": 10},
}
PAGE = 32  # tokens of a page of continuous batching
EVERY = 4  # way a has one prompt in so many
HEADER = """
| model | task | setting | a tokens/s | b | s | c | h | h samples/s | h/a | h/b | h/s | h/c | greedy texts as a's |
|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"""


@dataclass
class Figures:
    tokens: float  # a second
    samples: float
    same: float  # share of first texts that are way a's


Cell = dict[str, Figures]

Made = list[list[tuple[str, int]]]  # of each prompt its samples: text, number of tokens


@dataclass
class Model:
    """A model with its tokenizer as the hf backend has them, and how much is asked of it."""

    name: str
    network: Any
    codec: Codec
    prompts: int
    tokens: int


def demo(args: argparse.Namespace) -> Model:
    model = AutoModelForCausalLM.from_pretrained(DEMO, dtype=getattr(torch, args.dtype)).to(args.device)
    tokenizer = AutoTokenizer.from_pretrained(DEMO)
    codec = Codec(tokenizer, frozenset([tokenizer.eos_token_id]), encoder=False)
    return Model("demo, 2.4M", model.eval(), codec, args.prompts, args.tokens)


def random_llama(args: argparse.Namespace) -> Model:
    hidden, inner, layers, heads, kv_heads, vocabulary = SHAPES[args.shape]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        eos_token_id=None,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, args.dtype))
    with torch.device(args.device):
        model = LlamaForCausalLM(config).eval()
    torch.set_default_dtype(before)
    prompts, tokens = args.prompts, args.tokens
    if args.device == "cpu":  # it takes twelve times as long as the demo model
        prompts, tokens = max(1, prompts // 4), max(2, tokens * 3 // 8)
    codec = Codec(AutoTokenizer.from_pretrained(DEMO), frozenset(), encoder=False)
    return Model(f"random, {args.shape}", model, codec, prompts, tokens)


# ---------------------------------------------------------------- the five ways


def settings_of(model: Model, sampling: Sampling) -> dict[str, Any]:
    """The same settings as transformers has them."""
    drawn = sampling.temperature > 0
    return {
        "max_new_tokens": sampling.max_tokens,
        "do_sample": drawn,
        "num_beams": sampling.beams,
        "num_return_sequences": sampling.samples,
        "eos_token_id": sorted(model.codec.eos) or None,
        "pad_token_id": 0,
        **({"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if drawn else {}),
    }


def read(model: Model, row: Sequence[int]) -> tuple[str, int]:
    """A sample's text and how many tokens it took, the end-of-text among them."""
    end = next((at for at, token in enumerate(row) if token in model.codec.eos), len(row))
    return model.codec.decode(row[:end]), min(end + 1, len(row))


def batch(model: Model, prompts: Sequence[Prompt], sampling: Sampling) -> Made:
    rows = [list(model.codec.encode(prompt)) for prompt in prompts]
    width, device = max(map(len, rows)), model.network.device
    ids = torch.tensor([[0] * (width - len(row)) + row for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    config = GenerationConfig(**settings_of(model, sampling))
    found = model.network.generate(ids, attention_mask=mask, generation_config=config)[:, width:].tolist()
    n = sampling.samples
    return [[read(model, row) for row in found[at : at + n]] for at in range(0, len(found), n)]


def fixed(model: Model, prompts: Sequence[Prompt], sampling: Sampling, rows: int) -> Made:
    size = max(1, rows // sampling.samples)
    parts = [batch(model, prompts[at : at + size], sampling) for at in range(0, len(prompts), size)]
    return [samples for part in parts for samples in part]


def by_length(model: Model, prompts: Sequence[Prompt], sampling: Sampling, rows: int) -> Made:
    order = sorted(range(len(prompts)), key=lambda at: -len(model.codec.encode(prompts[at])))
    made = fixed(model, [prompts[at] for at in order], sampling, rows)
    back = dict(zip(order, made, strict=True))
    return [back[at] for at in range(len(prompts))]


def continuous(model: Model, prompts: Sequence[Prompt], sampling: Sampling, rows: int) -> Made:
    from transformers.generation.configuration_utils import ContinuousBatchingConfig

    n = sampling.samples
    asked = [list(model.codec.encode(prompt)) for prompt in prompts for _ in range(n)]
    pages = 2 + (max(map(len, asked)) + sampling.max_tokens) // PAGE
    settings = None  # its own choice, from the memory of the GPU
    if model.network.device.type == "cpu":
        settings = ContinuousBatchingConfig(
            page_size=PAGE, num_blocks=rows * pages, max_batch_tokens=8 * rows, max_requests_per_batch=rows
        )
    config = GenerationConfig(**{**settings_of(model, sampling), "num_return_sequences": 1})
    found = model.network.generate_batch(
        inputs=asked, generation_config=config, continuous_batching_config=settings, progress_bar=False
    )
    ordered = sorted(found.items(), key=lambda item: int("".join(filter(str.isdigit, item[0]))))
    read_all = [read(model, each.generated_tokens) for _, each in ordered]
    return [read_all[at : at + n] for at in range(0, len(read_all), n)]


def harness(engine: Engine, prompts: Sequence[Prompt], sampling: Sampling) -> Made:
    asked = [Request(str(at), prompt, tuple(range(sampling.samples))) for at, prompt in enumerate(prompts)]
    found: dict[tuple[int, int], tuple[str, int]] = {}
    for each in engine.generate(asked, sampling):
        made = each.completion
        found[int(each.problem_id), each.index] = (made.text, made.completion_tokens)
    return [[found[at, index] for index in range(sampling.samples)] for at in range(len(prompts))]


def ways(
    model: Model, sampling: Sampling, rows: int, exact: bool
) -> dict[str, Callable[[Sequence[Prompt]], Made]]:
    network = copy.deepcopy(model.network) if model.network.device.type == "cpu" else model.network
    if onednn_linear.pays():
        onednn_linear.use_onednn(network)  # as hf.load does; the other ways have the model as it is
    engine = Engine(ModelRunner(network), model.codec, {}, rows, warn=logging.warning)
    if not exact:
        engine.tolerance = 0.0  # as hf.load does for profile = "fast"
    found: dict[str, Callable[[Sequence[Prompt]], Made]] = {
        "a": lambda prompts: [
            each for prompt in prompts[::EVERY] for each in batch(model, [prompt], sampling)
        ],
        "b": lambda prompts: fixed(model, prompts, sampling, rows),
        "s": lambda prompts: by_length(model, prompts, sampling, rows),
    }
    if sampling.beams == 1:
        found["c"] = lambda prompts: continuous(model, prompts, sampling, rows)
    found["h"] = lambda prompts: harness(engine, prompts, sampling)
    return found


# ---------------------------------------------------------------- measuring


def measure(model: Model, prompts: Sequence[Prompt], sampling: Sampling, args: argparse.Namespace) -> Cell:
    """Tokens and samples a second of each way, and how many greedy texts each way has in common with `a`."""
    torch.manual_seed(0)
    clock = time.process_time if args.device == "cpu" else time.perf_counter
    taken: dict[str, list[float]] = {}
    made: dict[str, Made] = {}
    all_ways = ways(model, sampling, args.batch, args.profile == "exact")
    for name, run in all_ways.items():
        run(prompts[:1])  # what is done once is not in the figures
        taken[name] = []
    for _ in range(args.rounds):
        for name, run in all_ways.items():
            began = clock()
            made[name] = run(prompts)
            taken[name].append(clock() - began)
    cell = {}
    for name, seconds in taken.items():
        samples = [sample for of_one in made[name] for sample in of_one]
        tokens = sum(count for _, count in samples)
        texts = made[name] if name == "a" else made[name][::EVERY]
        same = sum(one[0][0] == two[0][0] for one, two in zip(made["a"], texts, strict=True))
        middle = statistics.median(seconds)
        cell[name] = Figures(tokens / middle, len(samples) / middle, same / len(made["a"]))
    return cell


def prompts_of(task: str) -> list[Prompt]:
    data = os.environ.get("HARNESS_DATA", "mini")
    plan = planning.make_plan(parse({"task": task, "data": data}))
    return [plan.prompts[problem.id] for problem in plan.problems]


def main() -> None:
    args = arguments()
    warnings.simplefilter("ignore")
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    how = f"{args.device}, {args.dtype}, profile {args.profile}"
    print(f"{args.rounds} rounds, batches of {args.batch} rows, {how}")
    print(HEADER, flush=True)
    makers = {"demo": [demo], "random": [random_llama], "both": [demo, random_llama]}[args.model]
    for model in [make(args) for make in makers]:
        for task in ("humaneval", "conala"):
            prompts = prompts_of(task)
            for name, settings in SETTINGS.items():
                sampling = Sampling(max_tokens=model.tokens, **settings)
                count = max(1, model.prompts // (4 if sampling.samples > 1 else 1))
                cell = measure(model, prompts[:count], sampling, args)
                shown = [f"{cell[way].tokens:,.0f}" if way in cell else "no beams" for way in "absch"]
                ratios = [
                    f"{cell['h'].tokens / cell[way].tokens:.1f}" if way in cell else "" for way in "absc"
                ]
                same = "/".join(f"{cell[way].same:.0%}" for way in cell) if name == "greedy" else ""
                samples = f"{cell['h'].samples:,.1f}"
                columns = [model.name, task, name, *shown, samples, *ratios, same]
                print(f"| {' | '.join(columns)} |", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="both", choices=["demo", "random", "both"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--profile", default="exact", choices=["exact", "fast"], help="of the hf backend")
    parser.add_argument("--shape", default="30m", choices=list(SHAPES))
    parser.add_argument("--batch", type=int, default=32, help="rows at once")
    parser.add_argument("--prompts", type=int, default=48, help="of each task; a quarter with ten samples")
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of a sample")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, few prompts, short texts")
    args = parser.parse_args()
    if args.quick:
        args.prompts, args.tokens, args.rounds = 8, 8, 1
    return args


if __name__ == "__main__":
    main()
