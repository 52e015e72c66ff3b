"""Rows that come and go while others run: the same bytes in any number of slots, one prefill a prompt, few steps."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.backends import hf
from harness.backends.hf.kv_cache import SLACK, DecodeBatch, KVCacheSlots
from harness.backends.hf.scheduler import Engine
from harness.config.backend import BackendConfig
from harness.schema import Prompt, Request, Sampling

WORDS = (
    "def f(x):\n    return",
    "for i in range(10):",
    "x",
    "with open(path) as f:\n",
    "import os\n",
    "y" * 20,
)
STOPS = ("e", "r", " ")  # so that samples end at many different steps
MIXED = {
    "greedy": Sampling(max_tokens=40, stop=("  ", "rr")),
    "drawn": Sampling(max_tokens=40, temperature=1.0, top_p=0.95, samples=4, stop=STOPS),
    "beams": Sampling(max_tokens=14, beams=3, samples=3, stop=("(", "3")),
}


def asked(sampling: Sampling, problems: int = 14) -> list[Request]:
    """Prompts of many lengths, some twice."""
    texts = [WORDS[n % len(WORDS)] * (1 + n % 3) for n in range(problems)]
    return [
        Request(f"t/{n}", Prompt(text=text), tuple(range(sampling.samples))) for n, text in enumerate(texts)
    ]


def made(folder: Path, slots: int, sampling: Sampling, requests: Sequence[Request]) -> tuple[list[str], Any]:
    """Canonical lines, and the engine with the number of its steps as `steps`."""
    backend: Any = hf.load(BackendConfig(model=str(folder), batch_size=slots))
    step, count = backend.runner.step, [0]

    def counted(*args: Any) -> None:
        count[0] += 1
        step(*args)

    backend.runner.step = counted
    found = sorted(each.model_dump_json() for each in backend.generate(requests, sampling))
    backend.steps = count[0]
    return found, backend


@pytest.mark.parametrize("how", MIXED)
@pytest.mark.parametrize("name", ["llama", "codegen", "t5"])
def test_slots_that_are_filled_again_change_no_byte(bases: dict[str, Path], name: str, how: str) -> None:
    requests = asked(MIXED[how])
    alone, _ = made(bases[name], 1, MIXED[how], requests)
    assert len(alone) == len(requests) * MIXED[how].samples
    for slots in (3, 16):
        shuffled = random.Random(slots).sample(requests, len(requests))
        found, backend = made(bases[name], slots, MIXED[how], shuffled)
        assert found == alone
        assert backend.stats.noise < 0.5


def test_a_free_slot_is_filled_while_the_others_run(bases: dict[str, Path]) -> None:
    """As many steps as there are tokens for each slot, up to the last row's; one by one T5's rows do not come in."""
    sampling = MIXED["drawn"]
    requests = asked(sampling)
    waste = {}
    for name in ("llama", "t5"):
        found, backend = made(bases[name], 8, sampling, requests)
        longest = max(json.loads(line)["completion"]["completion_tokens"] for line in found)
        least = (backend.stats.tokens - len(found)) / 8  # the first token of each comes from its prompt
        waste[name] = (backend.steps - least) / longest
    assert 0 <= waste["llama"] <= 1 < waste["t5"]


@pytest.mark.parametrize("slots", [3, 8, 30])
def test_the_samples_of_a_prompt_share_one_prefill(bases: dict[str, Path], slots: int) -> None:
    requests = asked(MIXED["drawn"])
    _, backend = made(bases["llama"], slots, MIXED["drawn"], requests)
    distinct = {backend.codec.encode(request.prompt) for request in requests}
    assert backend.stats.prefilled == sum(map(len, distinct))


def prefilled(backend: Engine, prompts: Sequence[tuple[int, ...]]) -> DecodeBatch:
    assert backend.runner is not None
    return backend.runner.prefill(prompts)


@pytest.mark.parametrize("name", ["llama", "codegen"])
@pytest.mark.parametrize("seed", range(4))
def test_each_slot_holds_its_own_text_whatever_the_others_do(
    bases: dict[str, Path], name: str, seed: int
) -> None:
    """Random placing, copying, releasing, picking and stepping, against each text computed alone."""
    draw = random.Random(seed)
    backend = hf.load(BackendConfig(model=str(bases[name])))
    runner = backend.runner
    assert runner is not None
    texts: dict[int, tuple[tuple[int, ...], list[int]]] = {}

    def prompts() -> list[tuple[int, ...]]:
        return [tuple(draw.choices(range(5, 300), k=draw.randint(1, 30))) for _ in range(3)]

    first = prompts()
    slots = KVCacheSlots(prefilled(backend, first), 6)
    for turn in range(30):
        free = [slot for slot in range(len(slots.first)) if slot not in texts]
        deed = draw.choice(["place", "place", "copy", "release", "pick", "step", "step", "step"])
        if deed == "place" and free:
            new = first if turn == 0 else prompts()
            taken = draw.sample(free, min(len(free), draw.randint(1, 3)))
            rows = [draw.randrange(3) for _ in taken]
            slots.insert(prefilled(backend, new), rows, taken)
            texts |= {slot: (new[row], []) for row, slot in zip(rows, taken, strict=True)}
        if deed == "copy" and len(texts) > 1:
            pairs = [(a, b) for a in texts for b in texts if a != b and texts[a][0] == texts[b][0]]
            if pairs and len(texts[pairs[0][0]][1]) == len(texts[pairs[0][1]][1]):
                a, b = pairs[0]
                slots.copy([a], [b], len(texts[a][1]))
                slots.logits = slots.logits.clone().index_copy(0, torch.tensor([b]), slots.logits[a : a + 1])
                texts[b] = (texts[a][0], list(texts[a][1]))
        if deed == "release" and texts:
            gone = draw.choice(sorted(texts))
            slots.release([gone])
            del texts[gone]
        if deed == "pick" and len(texts) > 4 and turn % 3 == 0:
            order = draw.sample(sorted(texts), len(texts))
            slots.select(order)
            texts = {at: texts[slot] for at, slot in enumerate(order)}
        if deed == "step" and texts:
            for _ in range(draw.randint(1, 9)):
                tokens = [draw.randrange(5, 300) for _ in slots.first]
                runner.step(slots, tokens)
                for slot, (_, ids) in texts.items():
                    ids.append(tokens[slot])
        for slot, (prompt, ids) in texts.items():
            own = runner.single(prompt, ids).logits
            assert (slots.logits[slot] - own).abs().max() < backend.tolerance * own.abs().max()
    assert slots.mask.shape[1] < 30 + 9 * 30 + SLACK


def test_only_what_is_all_keys_and_values_goes_into_slots(bases: dict[str, Path]) -> None:
    from transformers.cache_utils import DynamicSlidingWindowLayer

    engines = {name: hf.load(BackendConfig(model=str(bases[name]))) for name in ("llama", "codegen", "t5")}
    found = {name: prefilled(engine, [(5, 6, 7)]).is_plain for name, engine in engines.items()}
    assert found == {"llama": True, "codegen": True, "t5": False}
    batch = prefilled(engines["llama"], [(5, 6, 7)])
    batch.cache.layers[1] = DynamicSlidingWindowLayer(sliding_window=4)
    assert not batch.is_plain
