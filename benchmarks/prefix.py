"""Eight fixed shots computed once or with every prompt: python benchmarks/prefix.py [MODEL] [ROUNDS]

The mini CoNaLa prompts with the same eight shots, greedy, float32, one thread, with and without keeping the shots'
keys and values; rounds alternate. Prints prompt tokens computed and the ratios of wall and CPU times, and checks
that the completions are equal to the byte.
"""

import statistics
import sys
import time
from pathlib import Path

from harness import tasks
from harness.backends import hf
from harness.backends.hf import prefix_cache
from harness.config.load import parse
from harness.runs import plan as planning
from harness.schema import Request


def main(model: str, rounds: int) -> None:
    config = parse(
        {"task": "conala", "data": "mini", "shots": "icl:8", "backend": {"model": model, "dtype": "float32"}}
    )
    plan = planning.make_plan(config)
    asked = [Request(problem.id, plan.prompts[problem.id], (0,)) for problem in plan.problems]
    least = prefix_cache.MIN_TOKENS
    seconds: dict[bool, list[float]] = {True: [], False: []}
    walls: dict[bool, list[float]] = {True: [], False: []}
    texts: dict[bool, list[str]] = {}
    tokens: dict[bool, int] = {}
    for _ in range(rounds):
        for reuse in (True, False):
            prefix_cache.MIN_TOKENS = least if reuse else sys.maxsize
            backend = hf.load(config.backend)
            began, wall = time.process_time(), time.perf_counter()
            texts[reuse] = sorted(each.model_dump_json() for each in backend.generate(asked, plan.sampling))
            seconds[reuse].append(time.process_time() - began)
            walls[reuse].append(time.perf_counter() - wall)
            tokens[reuse] = backend.stats.prefilled  # type: ignore[attr-defined]
    assert texts[True] == texts[False], "the completions differ"
    saved = tokens[False] / tokens[True]
    print(f"prompt tokens computed: {tokens[True]:,} with, {tokens[False]:,} without: {saved:.1f} times")
    for name, taken in (("wall", walls), ("CPU", seconds)):
        with_, without = (statistics.median(taken[reuse]) for reuse in (True, False))
        print(
            f"{name} seconds of generation: {with_:.2f} with, {without:.2f} without: {without / with_:.2f} times"
        )
    print("completions equal to the byte")


if __name__ == "__main__":
    demo = Path(next(iter(tasks.__path__))) / "demo" / "model"
    main(sys.argv[1] if len(sys.argv) > 1 else str(demo), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
