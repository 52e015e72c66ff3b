"""CodeBLEU beside the package codebleu 0.7.0, in the same run: pairs a second, and whether the numbers are the same.

    python benchmarks/scoring.py               20,000 pairs of CoNaLa's size and 5,000 of about 30 lines, three rounds
    python benchmarks/scoring.py --share 0.1   a tenth of that

Short pairs are CoNaLa's snippets (HARNESS_DATA/docprompting-conala, else the mini rows), long ones functions of
25 to 35 lines of Python's own library. An answer is its reference with names, numbers or lines changed; ten
answers a reference, none twice. The package is called in both ways that its users call it: pair by pair, which
gives each answer's score, as ours does; and once with everything, which gives a corpus's only. The three take turns,
in another order each round; each round begins with no reference seen and no process started. A ratio is the median
of the rounds' ratios. CPU seconds are the steadier figure on a machine that does other things as well. Where the
package is right (harness/scorers/similarity/codebleu.py says where it is not) the parts must be equal: the share of
pairs where they are is printed.
"""

import argparse
import ast
import contextlib
import importlib
import inspect
import io
import json
import logging
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from harness import scorers
from harness.schema import Problem, Reference
from harness.scorers import parallel

ANSWERS = 10  # a reference
LIBRARY = (
    "argparse ast asyncio.base_events calendar collections configparser csv datetime dataclasses decimal difflib"
    " dis doctest email.message enum fractions functools heapq imaplib inspect ipaddress json.decoder locale"
    " logging mailbox mimetypes optparse pathlib pickle pickletools plistlib pprint random shutil smtplib"
    " socketserver statistics string subprocess tarfile tempfile textwrap threading tokenize trace traceback"
    " turtle typing unittest.case urllib.parse urllib.request uuid warnings weakref xml.dom.minidom zipfile"
)
PARTS = {"ngram": "ngram_match_score", "syntax": "syntax_match_score", "dataflow": "dataflow_match_score"}
Pair = tuple[str, str]  # reference, answer


def snippets() -> list[str]:
    folder = Path(__file__).parent.parent / "tasks/mini"
    if "HARNESS_DATA" in os.environ:
        folder = Path(os.environ["HARNESS_DATA"])
    path = folder / "docprompting-conala/conala-train.jsonl"
    with path.open(encoding="utf-8") as file:
        return sorted({row["cmd"].strip() for row in map(json.loads, file) if row["cmd"]} - {""})


def functions() -> list[str]:
    found = set()
    for name in LIBRARY.split():
        with contextlib.suppress(ImportError, OSError):
            source = inspect.getsource(importlib.import_module(name))
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.FunctionDef) and 25 <= node.end_lineno - node.lineno + 1 <= 35:
                    found.add(ast.get_source_segment(source, node))
    return sorted(found)


def changed(code: str, rng: random.Random) -> str:
    """What a model might have written instead."""
    lines = code.split("\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                words = [
                    word
                    for word in lines[at].replace("(", " ").replace(".", " ").split()
                    if word.isidentifier()
                ]
                if words:
                    lines = [line.replace(rng.choice(words), f"name{rng.randrange(90)}") for line in lines]
            case 1:
                lines[at] = lines[at] + f"[{rng.randrange(900)}]"
            case 2 if len(lines) > 3:
                del lines[at]
            case _:
                lines[at] = lines[at].replace("(", f"(value{rng.randrange(90)}, ", 1)
    return "\n".join(lines)


def pairs(references: list[str], count: int, seed: int) -> Iterator[Pair]:
    """`ANSWERS` in a row for each reference, the references anew when there are too few."""
    rng = random.Random(seed)
    references = rng.sample(references, len(references))
    seen: set[Pair] = set()
    while True:
        for reference in references:
            for _ in range(ANSWERS):
                answer = changed(reference, rng)
                while (reference, answer) in seen:
                    answer += f" + {rng.randrange(10**6)}"
                seen.add((reference, answer))
                yield reference, answer
                if len(seen) == count:
                    return


def ours(given: list[Pair]) -> list[tuple[float, ...]]:
    problems = {
        reference: Problem(id=f"p/{n}", question="", solution=reference, check=Reference(texts=(reference,)))
        for n, reference in enumerate(dict.fromkeys(reference for reference, _ in given))
    }
    answers = ((problems[reference], answer) for reference, answer in given)
    score = parallel.parallelize(scorers.codebleu, None)
    return [verdict.score.stats for verdict in score(answers, None)]


def pair_by_pair(given: list[Pair]) -> list[dict[str, float]]:
    from codebleu import calc_codebleu

    with contextlib.redirect_stdout(io.StringIO()):
        return [calc_codebleu([reference], [answer], "python") for reference, answer in given]


def at_once(given: list[Pair]) -> list[dict[str, float]]:
    from codebleu import calc_codebleu

    references, answers = zip(*given, strict=True)
    with contextlib.redirect_stdout(io.StringIO()):
        return [calc_codebleu(list(references), list(answers), "python")]


def cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(score: Callable[[list[Pair]], list[Any]], given: list[Pair]) -> tuple[list[Any], float, float]:
    """What it says, seconds, CPU seconds with those of its processes."""
    began, before = time.perf_counter(), cpu()
    result = score(given)
    return result, time.perf_counter() - began, cpu() - before


def equal_parts(own: list[tuple[float, ...]], package: list[dict[str, float]]) -> str:
    from harness.scorers.similarity.codebleu import components

    values = [components(stats) for stats in own]
    shares = []
    for name, key in PARTS.items():
        same = [abs((getattr(p, name) or 0.0) - q[key]) < 1e-9 for p, q in zip(values, package, strict=True)]
        shares.append(f"{name} {sum(same) / len(same):.3f}")
    return ", ".join(shares)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    module = importlib.import_module("harness.scorers.codebleu")  # the package exports the scorer by its name
    logging.disable(logging.WARNING)
    for score in (pair_by_pair, at_once, ours):  # what is imported once, is imported here
        score([("x = f(1)", "y = f(1)")])
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, {settings.rounds} rounds")
    print("| pairs | lines | | s | ours faster | CPU s | ours less |")
    print("|--:|--:|---|--:|--:|--:|--:|")
    for references, count in ((snippets(), 20_000), (functions(), 5_000)):
        given = list(pairs(references, max(ANSWERS, int(count * settings.share)), seed=1))
        lines = sum(reference.count("\n") + 1 for reference, _ in given) / len(given)
        results: dict[str, list[Any]] = {}
        walls: dict[str, list[float]] = {}
        used: dict[str, list[float]] = {}
        for turn in range(settings.rounds):
            order = [pair_by_pair, at_once, ours]
            for score in order[turn % 3 :] + order[: turn % 3]:
                name = score.__name__
                module.target.cache_clear()
                module.counts.cache_clear()
                results[name], wall, spent = timed(score, given)
                walls.setdefault(name, []).append(wall)
                used.setdefault(name, []).append(spent)
        for name, title in (
            ("pair_by_pair", "package, pair by pair"),
            ("at_once", "package, corpus only"),
            ("ours", "ours"),
        ):
            faster, less = (
                median(theirs / own for theirs, own in zip(of[name], of["ours"], strict=True))
                for of in (walls, used)
            )
            print(
                f"| {len(given)} | {lines:.1f} | {title} | {median(walls[name]):.2f} | {faster:.1f}"
                f" | {median(used[name]):.2f} | {less:.1f} |",
                flush=True,
            )
        print(f"equal parts: {equal_parts(results['ours'], results['pair_by_pair'])}", flush=True)


if __name__ == "__main__":
    main()
