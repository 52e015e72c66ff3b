"""Prompts, sampling, completions, and the protocols of the backends that produce them."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import Field, model_validator

from harness.schema.base import Style, Value


class Message(Value):
    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Value):
    """What the model is shown: a text to continue, or the messages of a chat (exactly one of the two).

    An assistant's message at the end of a chat is the beginning of the answer, which the model goes on from.
    With a `suffix`, an empty one too, the model fills in what stands between text and suffix: a backend marks both as
    the model knows them (harness/text/fim.py).
    """

    text: str = ""
    messages: tuple[Message, ...] = ()
    suffix: str | None = Field(default=None, exclude_if=lambda suffix: suffix is None)

    @property
    def prefill(self) -> str:
        """The beginning of the answer; empty where the model begins it."""
        return self.messages[-1].content if self.messages and self.messages[-1].role == "assistant" else ""

    @property
    def sha(self) -> str:
        """First 16 hex digits of the SHA-256 of the canonical JSON: enough to notice any change."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class Template(Value):
    """How a problem and its shots become a prompt. `{question}`, `{solution}` and the names of the problem's
    `parts` in braces are replaced, nothing else is.

    `style` chat makes turns of user and assistant; the others make one text, shots joined by `between`. A shot
    is question and answer, or `shot` if the template words shots differently. Style fim asks for what stands between
    the question and `suffix`.
    `prefill` is the beginning of the answer that a chat gives the model; no part of the completion.
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
    prefill: str = Field(default="", exclude_if=lambda prefill: not prefill)
    suffix: str = Field(default="", exclude_if=lambda suffix: not suffix)
    stop: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _prefill_in_a_chat(self) -> "Template":
        if self.prefill and self.style != "chat":
            raise ValueError("prefill is for style = 'chat': another prompt's question may end with it")
        return self

    @model_validator(mode="after")
    def _suffix_behind_a_gap(self) -> "Template":
        if bool(self.suffix) != (self.style == "fim"):
            raise ValueError("suffix and style = 'fim' go together: it is what stands behind the gap")
        return self


OverLong = Literal["error", "skip", "truncate_left"]


class Sampling(Value):
    """How completions are sampled. temperature 0 is greedy (`samples` must be 1); beams > 1 is beam search.

    `banned_tokens` are never generated: ids, or texts that stand for every token of that text. `count_penalty` r
    divides a token's probability by r for each time it occurs in the completion; `repetition_penalty` is
    transformers': applied once to a token that occurs already, prompt included. 1 is none.

    `over_long`: what becomes of a prompt that leaves the model's context no room for a completion. It is an error, or
    skipped, which counts as failed; `truncate_left` takes tokens off its beginning until the budget has room.

    `max_tokens` is for the answer. A reasoning model may generate `max_reasoning_tokens` more, in all `budget`.
    """

    samples: int = Field(default=1, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1)
    max_reasoning_tokens: int = Field(default=0, ge=0, exclude_if=lambda most: most == 0)
    stop: tuple[str, ...] = ()
    seed: int = 0
    beams: int = Field(default=1, ge=1)
    banned_tokens: tuple[int | str, ...] = ()
    count_penalty: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    repetition_penalty: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)

    over_long: OverLong = Field(default="skip", exclude_if=lambda over_long: over_long == "skip")

    @property
    def budget(self) -> int:
        """How many tokens a completion may have, reasoning and answer together."""
        return self.max_tokens + self.max_reasoning_tokens


Finish = Literal["stop", "eos", "length", "recorded", "refused", "filtered", "tool_calls", "skipped"]
Form = Literal["output", "continuation", "program"]
Unanswered = Literal["refused", "filtered", "skipped", "empty"]
UNANSWERED: Mapping[str, Unanswered] = {"refused": "refused", "filtered": "filtered", "skipped": "skipped"}


def unanswered(finish: str, text: str) -> Unanswered | None:
    """Why a completion has no answer: as its `finish` says, or because its text is blank; None where it has one."""
    return UNANSWERED.get(finish) or (None if text.strip() else "empty")


class Completion(Value):
    """One sample: the answer's text, cut at the stop string, and apart from it what the model thought before.

    `form` says how to read the text: `output` is raw model output (an answer has to be found in it), `continuation`
    continues the prompt to the letter (human-eval's `completion`), `program` is complete (evalplus' `solution`).
    `logprob` is the natural-log probability of the completion's tokens, summed; None if the backend has none.
    `prompt_tokens` 0 means that nobody counted them. `prompt_share`: if a server read a prompt once for several
    samples, this sample's share of its tokens.
    `completion_tokens` counts reasoning too; `reasoning_tokens` of them are, None if nobody counted them apart.
    `cut_off`: the sample ended inside a thought, so that there is no answer. `after_stop_tokens` were generated
    behind the stop string and are no part of the text.
    `finish`: a server may refuse, filter or call a tool; a prompt that does not fit the model is skipped. `note` has
    the words of a refusal, or what a filter let pass: they are no answer.
    """

    text: str
    finish: Finish = "recorded"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning: str = Field(default="", exclude_if=lambda reasoning: not reasoning)
    reasoning_tokens: int | None = Field(default=None, exclude_if=lambda count: count is None)
    cut_off: bool = Field(default=False, exclude_if=lambda cut_off: not cut_off)
    after_stop_tokens: int = Field(default=0, exclude_if=lambda count: count == 0)
    note: str = Field(default="", exclude_if=lambda note: not note)
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


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do besides generating. For each that it states it has the methods of the protocol named here.

    `replicas`: several processes may load a copy each and share the work (backend.devices, a Ray cluster). `chat`: the
    model answers chats, for its tokenizer has a chat template or its server takes messages; a loaded one knows.
    """

    likelihoods: bool = False  # LikelihoodBackend
    adapters: bool = False  # AdapterBackend
    mixed_adapters: bool = False  # MultiAdapterBackend
    recorded: bool = False  # RecordedBackend
    replicas: bool = False
    chat: bool = False
    renders: bool = False  # RenderingBackend


class Backend(Protocol):
    """A source of completions. `generate` does the work; `identity` goes into run.json and has a `kind`.

    `tokens` is the length of a prompt (a backend without the model's tokenizer estimates it), `fits` whether the
    model's context holds it and a completion of `max_tokens`; a backend that cannot tell says yes.
    """

    @property
    def identity(self) -> Mapping[str, str]: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Yield every requested sample once, in any order. Raises BackendFault, UserError."""
        ...

    def tokens(self, prompt: Prompt) -> int: ...

    def fits(self, prompt: Prompt, max_tokens: int) -> bool: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as the model is given it: behind its chat template, and how many tokens that is."""

    text: str
    tokens: int


class PromptRenderer(Protocol):
    """A model's tokenizer. `chat`: whether it has a chat template."""

    @property
    def chat(self) -> bool: ...

    def render(self, prompt: Prompt) -> RenderedPrompt:
        """Raises UserError for a prompt that the chat template refuses."""
        ...


class RenderingBackend(Backend, Protocol):
    """Has the model's tokenizer, and so knows the very text that the model is given."""

    def render(self, prompts: Sequence[Prompt]) -> Sequence[RenderedPrompt]:
        """Raises UserError for a prompt that the chat template refuses."""
        ...


@dataclass(frozen=True)
class LikelihoodRequest:
    """A prompt and the text whose probability after it is wanted."""

    problem_id: str
    prompt: Prompt
    text: str


class LikelihoodBackend(Backend, Protocol):
    """Computes the likelihood of given texts."""

    def likelihoods(self, requests: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        """Yield one Generation a text, in any order: index 0, `text` as given, `logprob` the natural-log
        probability of its tokens, summed, `completion_tokens` their number. Tokens of the prompt and the
        end-of-text are not counted. Raises BackendFault, UserError."""
        ...


class AdapterBackend(Backend, Protocol):
    """Changes its adapter while the base model stays loaded."""

    def set_adapter(self, adapter: str) -> None:
        """Use this adapter from now on, none if it is "". Raises UserError; then there is no adapter."""
        ...


class MultiAdapterBackend(Backend, Protocol):
    """Generates with several adapters on one base model in the same batches."""

    def attach_adapters(self, adapters: Sequence[str]) -> Sequence[Mapping[str, str]] | None:
        """Attach these adapters, all different ("" is the base without one), in place of what was attached.

        The backend's identity with each of them, in order; None if they cannot share a batch. Raises UserError.
        """
        ...

    def generate_mixed(
        self, requests: Mapping[int, Sequence[Request]], sampling: Sampling
    ) -> Iterator[tuple[int, Generation]]:
        """`generate` for several of the attached adapters, by their place: (adapter, sample) in any order."""
        ...


class RecordedBackend(Backend, Protocol):
    """Returns completions that were recorded for a given set of problems, which fixes the number of samples."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Samples of each problem, by id; problems without any are left out."""
        ...

    @property
    def unmatched(self) -> Mapping[str, tuple[str, int]]:
        """Recorded rows of problems that are not in the run: their first place in the file and their number, by id.

        Rows without ids behind those of the run's problems are one entry, with the last one's position as id."""
        ...
