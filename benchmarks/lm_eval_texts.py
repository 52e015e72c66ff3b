"""The same texts as lm-evaluation-harness, greedy, prompt by prompt: both tools on one model and HumanEval's prompts.

    pip install lm-eval
    python benchmarks/lm_eval_texts.py DATA [MODEL]      some minutes a side with the demo model

DATA is the folder with humaneval/HumanEval.jsonl.gz, or mini. lm-eval's stop strings, prompt and number of tokens are
those of its own task humaneval; only the rows come from DATA, and nothing is judged, for its metric is downloaded.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from harness import tasks
from harness.config.load import parse
from harness.runs import run
from harness.runs.store import reader
from harness.schema import Generation
from harness.tasks.loading import data_files, registry

DEMO = Path(next(iter(tasks.__path__))) / "demo" / "model"
ASKED = ("doc_to_text", "output_type", "generation_kwargs")  # what of lm-eval's task makes its texts


class _Loader(yaml.SafeLoader):
    """Reads lm-eval's task without running its functions."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def of_lm_eval(model: str, rows: list[dict[str, str]]) -> dict[str, str]:
    """Problem id -> text, by lm-eval's own hf model and loop."""
    import datasets
    import lm_eval

    own = Path(lm_eval.__file__).parent / "tasks" / "humaneval" / "humaneval.yaml"
    asked = yaml.load(own.read_text(encoding="utf-8"), _Loader)
    task: dict[str, Any] = {name: asked[name] for name in ASKED} | {
        "task": "humaneval_texts",
        "custom_dataset": lambda **_: {"test": datasets.Dataset.from_list(rows)},
        "test_split": "test",
        "doc_to_target": "",
        "metric_list": [{"metric": "bypass", "aggregation": "bypass"}],
    }
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": model, "dtype": "float32", "device": "cpu"},
        tasks=[task],
        predict_only=True,
        log_samples=True,
    )
    print(f"lm-eval {lm_eval.__version__}: {asked['generation_kwargs']}")
    return {one["doc"]["task_id"]: one["resps"][0][0] for one in found["samples"]["humaneval_texts"]}


def of_harness(model: str, data: str, folder: Path) -> dict[str, str]:
    """The same by a run of this harness, asked as docs/from-lm-eval.md says."""
    plain = {
        "task": "humaneval",
        "data": data,
        "prompt": "plain",
        "sampling": {"max_tokens": 1024},
        "backend": {"kind": "hf", "model": model, "dtype": "float32", "device": "cpu"},
    }
    made, _ = run.run(parse(plain), folder)
    return {
        row["problem_id"]: row["completion"]["text"]
        for row in reader.rows(made / "generations.jsonl", Generation)
    }


def main(data: str, model: str = str(DEMO)) -> None:
    problems = data_files.load(registry.task("humaneval"), "test", data_files.open_source(data))
    rows = [{"task_id": problem.id, "prompt": problem.question} for problem in problems]
    theirs = of_lm_eval(model, rows)
    with tempfile.TemporaryDirectory() as folder:
        ours = of_harness(model, data, Path(folder))
    other = [name for name in ours if ours[name] != theirs[name]]
    print(f"{len(ours) - len(other)} of {len(ours)} texts are equal")
    for name in other:
        print(f"{name}\n  lm-eval {theirs[name]!r}\n  here    {ours[name]!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
