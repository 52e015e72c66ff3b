"""Training and adapters: padding of a five-task mixture, tokens a second packed and padded, many adapters on one base.

python -m benchmarks.train padding      share of padding at 4,096 tokens: pad, dynamic, pack
python -m benchmarks.train speed        learnt tokens a CPU second: pad, dynamic, pack, on long and short rows, in turns
python -m benchmarks.train adapters     eight LoRA adapters in one study against eight runs: seconds, memory, bytes
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import tasks
from harness.backends.hf import checkpoint
from harness.backends.hf.tokenizer import Codec
from harness.training.config import DataConfig, PackingConfig
from harness.training.data import examples, packing, tokenize

MODEL = Path(next(iter(tasks.__path__))) / "demo" / "model"
MIXTURE = ("conala", "codealpaca_py", "mbpp", "humaneval", "apps")
COMMAND = [sys.executable, "-c", "from harness.cli import main; main()"]


def mixture() -> list[list[packing.TokenRow]]:
    """The mini rows of five tasks as token rows, the demo model's tokens."""
    tokenizer = checkpoint.load_tokenizer(MODEL)
    codec = Codec(tokenizer, frozenset({tokenizer.eos_token_id}), encoder=False)
    made = []
    for number, name in enumerate(MIXTURE):
        split = "test" if name in ("humaneval", "mbpp") else "train"
        config = DataConfig.model_validate({"task": name, "split": split, "validation": "none"})
        made.append(tokenize.encode(examples.load(config, "mini", 0).train, codec, number))
    return made


def planned(
    found: list[list[packing.TokenRow]], mode: str, length: int, batch: int
) -> tuple[PackingConfig, list[packing.Batch]]:
    config = PackingConfig.model_validate({"mode": mode, "length": length, "batch": batch})
    windows = [
        packing.build_windows(of_one, config, packing.PackingReport(name))
        for name, of_one in zip(MIXTURE, found, strict=False)
    ]
    return config, packing.make_batches(packing.interleave(windows), config, 0)


def padding(times: int = 10) -> None:
    """Each row `times` over: a task's last window is seldom full, which counts in a mixture this small."""
    found = [of_one * times for of_one in mixture()]
    for mode in ("pad", "dynamic", "pack"):
        config, made = planned(found, mode, 4096, 8)
        lines = sum(len(batch) for batch in made)
        print(
            f"{mode:8} {100 * packing.padding_share(made, config):5.1f} % padding, {lines} windows of at most 4096"
        )


def speed(rounds: int = 5, length: int = 512) -> None:
    """Forward and backward over one batch each, in turns: as many windows as hold about the same number of tokens."""
    found = mixture()
    short = [of_one for of_one in found if sum(map(len, of_one)) < 50 * len(of_one)]
    for name, rows in (("five tasks", found), ("short rows", short)):
        count = sum(map(len, rows))
        mean = sum(len(row) for of_one in rows for row in of_one) / count
        rates = _rates(rows, rounds, length, max(1, round(4 * length / mean)))
        shown = ", ".join(f"{mode} {rate:,.0f}" for mode, rate in rates.items())
        print(f"{name}, {mean:.0f} tokens a row, windows of {length}: {shown} learnt tokens a CPU second")


def _rates(found: list[list[packing.TokenRow]], rounds: int, length: int, singles: int) -> dict[str, float]:
    """Of each mode; `singles` is the number of single rows that stand for four packed windows."""
    import torch

    from harness.training.losses import objectives, token_losses

    torch.set_num_threads(1)
    model = checkpoint.from_folder(MODEL, torch.float32)
    hidden = model.config.hidden_size
    modes = {
        "pad": ("pad", 4),
        "dynamic": ("dynamic", singles),
        "pack": ("pack", 4),
        "pack, block": ("pack", 4),
    }
    batches = {name: planned(found, mode, length, batch) for name, (mode, batch) in modes.items()}
    rates: dict[str, list[float]] = {name: [] for name in modes}
    for number in range(rounds + 1):
        for name, (config, made) in batches.items():
            windows, block = made[number % len(made)], "block" in name
            if block and packing.apart_is_cheaper(windows, hidden, config.multiple):
                windows, block = [(row,) for window in windows for row in window], False
            padded = length if config.mode == "pad" else None
            tensors = tokenize.collate(windows, 0, config.multiple, padded, block)
            began = time.process_time()
            tokens = token_losses.learnt_tokens(model, tensors, False, partial=True)
            objectives.balanced_loss(tokens, "none", torch.ones(len(MIXTURE))).backward()  # type: ignore[no-untyped-call]
            model.zero_grad()
            if number:  # the first round warms up
                rates[name].append(len(tokens.nll) / (time.process_time() - began))
    return {name: statistics.median(values) for name, values in rates.items()}


def adapters(count: int = 8, limit: int = 5) -> None:
    import peft
    import torch

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folders = []
        for number in range(count):
            torch.manual_seed(number)
            with checkpoint.silenced():
                config = peft.LoraConfig(
                    r=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
                )
                made = peft.get_peft_model(checkpoint.from_folder(MODEL, torch.float32), config)
                made.save_pretrained(root / f"a{number}")
            folders.append(str(root / f"a{number}"))
        common = ["run", "--task", "conala", "--data", "mini", "--limit", str(limit), "--model", str(MODEL)]
        flags = [f"--adapter={folder}" for folder in folders]
        grid = _timed([*common, *flags, "--out", str(root / "grid")])
        apart = [
            _timed([*common, flag, "--out", str(root / f"alone{number}")])
            for number, flag in enumerate(flags)
        ]
        same = sum(
            (root / f"alone{number}" / "generations.jsonl").read_bytes()
            == next((root / "grid").glob(f"conala-demo-a{number}-*/generations.jsonl")).read_bytes()
            for number in range(count)
        )
    wall, cpu, peaks = (sum(run[i] for run in apart) for i in (0, 1, 2))
    largest = max(run[2] for run in apart)
    print(
        f"one study: {grid[0]:.1f} s wall, {grid[1]:.1f} s CPU, {grid[2]:.0f} MB at its peak;"
        f" {count} runs: {wall:.1f} s wall, {cpu:.1f} s CPU, {largest:.0f} MB the largest, {peaks:.0f} MB all at once"
    )
    print(
        f"ratio {wall / grid[0]:.1f} (wall), {cpu / grid[1]:.1f} (CPU); memory of the study {grid[2] / largest:.2f} of"
        f" one run's, {grid[2] / peaks:.2f} of {count} at once"
    )
    print(f"generations equal to those of the separate run, byte for byte: {same} of {count}")


def _timed(arguments: list[str]) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds and peak MB of one command."""
    began = time.monotonic()
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"exit code {process.returncode}: harness {' '.join(arguments)}")
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Training and adapters.")
    parser.add_argument("what", choices=["padding", "speed", "adapters"])
    {"padding": padding, "speed": speed, "adapters": adapters}[parser.parse_args().what]()


if __name__ == "__main__":
    main()
