"""Made-up conversations: two roles of one backend, a person who asks and an assistant who answers, turn by turn.

The several-turn form of self-instruct in MFTCoder's data section (arXiv 2311.02303; Li et al., 2023, arXiv 2303.17760),
beside the single-turn one of synthesis.py. A conversation ends where a question or an answer is not to be kept: what
was good before stays, as `chat_rounds` for `harness train --file`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import backends
from harness.prompts import templates
from harness.schema import Backend, ExecResult, Program, Request, Sampling, Sandbox
from harness.training.data import synthesis

ASK = (
    "You are a Python programmer who wants to learn about this: {seed}\n{before}Write the next thing that you ask the"
    " assistant to program, in one or two sentences, without code."
)
REPLY = (
    "You are an assistant who programs in Python.\n{before}The person asks: {question}\nAnswer in a sentence, then with"
    " one code block that begins with ```python and can be run as it is."
)


@dataclass
class Dialogue:
    """A conversation so far: questions with answers, of the seed with this number."""

    number: int
    seed: str
    rounds: list[tuple[str, str]] = field(default_factory=list)

    @property
    def before(self) -> str:
        said = "".join(
            f"The person: {question}\nThe assistant: {answer}\n" for question, answer in self.rounds
        )
        return f"So far:\n{said}" if said else ""

    def name(self, role: str) -> str:
        return f"synth/{role}/{self.number}/{len(self.rounds)}"


def names(seeds: Sequence[str], turns: int) -> list[str]:
    """The ids of all that may be asked: synth/<role>/<number of the seed>/<turn>."""
    return [
        f"synth/{role}/{number}/{turn}"
        for number in range(len(seeds))
        for turn in range(turns)
        for role in ("asks", "answers")
    ]


def make_dialogues(
    backend: Backend, seeds: Sequence[str], turns: int, sampling: Sampling, box: Sandbox
) -> tuple[list[Dialogue], Counter[str]]:
    """A conversation of at most `turns` rounds for each seed, those without a round left out; why they ended early."""
    every = [Dialogue(number, seed) for number, seed in enumerate(seeds)]
    ended: Counter[str] = Counter()
    going = every
    for _ in range(turns):
        asked = _say(
            backend, going, "asks", [ASK.format(seed=d.seed, before=d.before) for d in going], sampling
        )
        questions = [_question(text) for text in asked]
        ended["no question"] += questions.count("")
        going, left = [d for d, q in zip(going, questions, strict=True) if q], [q for q in questions if q]
        prompts = [REPLY.format(before=d.before, question=q) for d, q in zip(going, left, strict=True)]
        answers = _say(backend, going, "answers", prompts, sampling)
        parsed = [synthesis.parse_completion(f"{q}\n{a}") for q, a in zip(left, answers, strict=True)]
        codes = [found[1] for found in parsed if not isinstance(found, str)]
        ended.update(found for found in parsed if isinstance(found, str))
        results = iter(box.map(Program(code=code) for code in codes))
        still = []
        for dialogue, question, answer, found in zip(going, left, answers, parsed, strict=True):
            if isinstance(found, str):
                continue
            result = next(results)
            if not isinstance(result, ExecResult):
                raise result  # a fault of the sandbox says nothing of the row
            if result.status == "passed":
                dialogue.rounds.append((question, answer.strip()))
                still.append(dialogue)
            else:
                ended[f"does not run ({result.status})"] += 1
        going = still
    return [dialogue for dialogue in every if dialogue.rounds], +ended


def _say(
    backend: Backend, dialogues: Sequence[Dialogue], role: str, asked: Sequence[str], sampling: Sampling
) -> list[str]:
    """What the role says in each conversation; nothing where a recording has nothing."""
    recorded = backends.recorded_backend(backend)
    requests = [
        Request(dialogue.name(role), synthesis.instruction_prompt(templates.INSTRUCTION, text), (0,))
        for dialogue, text in zip(dialogues, asked, strict=True)
    ]
    there = [each for each in requests if recorded is None or each.problem_id in recorded.counts]
    found = {made.problem_id: made.completion.text for made in backend.generate(there, sampling)}
    return [found.get(request.problem_id, "") for request in requests]


def _question(text: str) -> str:
    """The question of a completion, its first paragraph; "" if it is none."""
    first = text.split("```")[0].strip().partition("\n\n")[0].strip()
    return first if len(first.split()) >= synthesis.MIN_WORDS else ""


def as_rows(dialogues: Sequence[Dialogue]) -> list[dict[str, Any]]:
    """The `chat_rounds` of each, as `harness train --file` reads them."""
    return [
        {
            "chat_rounds": [
                {"role": role, "content": content}
                for said in dialogue.rounds
                for role, content in zip(("user", "assistant"), said, strict=True)
            ],
            "source": f"synth/dialogue/{dialogue.number}",
        }
        for dialogue in dialogues
    ]
