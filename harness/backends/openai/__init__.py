"""Any server with OpenAI's protocol: completions or chat, many requests at a time, faults told from completions.

One request asks for all missing samples of a problem; a server that returns fewer is asked again for the rest, and from
then on for no more at once than it gave. Greedy decoding asks for temperature 0. Sampling sends a seed made of the
run's seed, the problem and the first sample's index, so that a resumed run does not get the same samples twice (whether
a server honours it is up to the server). Stop strings are applied here as well, because a server may take fewer than
there are, or none. What a server cannot do is refused by name.

What a server may say within the protocol is data: a refusal, a filter's word, no content, a thought without an answer.
An empty list of choices, another shape, HTML, a cut-off body: a fault after some tries, never an empty completion. The
key is read from the environment, sent, and written nowhere.

  transport     one request: retries, back-off, time limit
  response      a response -> completions
  dialect       what a server wants to be asked otherwise
  gap           how it is asked to fill in the middle
  choice        one choice of it: answer, thought, refusal, why it ended
  thread_pool   many requests at a time
  adapter_proof whether an adapter's answers are its own
"""

import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Event
from typing import Any

from harness.backends.loader import BackendLoader, require_model
from harness.backends.openai import adapter_proof, gap, response, thread_pool
from harness.backends.openai.dialect import MISTAKES, Dialect
from harness.backends.openai.response import count
from harness.backends.openai.transport import FIRST_WAIT_S, Reply, Transport
from harness.config.backend import SERVER_TEMPLATE_ARGS, BackendConfig, ServerConfig
from harness.errors import BackendFault, ConfigError, HarnessError, UserError, unknown
from harness.schema import Capabilities, Completion, Generation, Message, Prompt, Request, Sampling
from harness.text import reasoning
from harness.text.completion_parts import separate
from harness.text.fim import FimFormat

LOG = logging.getLogger(__name__)
NAMED = 5  # problem ids that an error message lists
FAULTS_IN_A_ROW = 3  # requests that fail, with none between them that succeeds: the server is gone
CHARACTERS_A_TOKEN = 3.5  # of code, for estimates
CAPABILITIES = Capabilities(adapters=True)
TOO_LONG = re.compile(r"context|too long|maximum.*length|max_new_tokens", re.I)
# What a server calls a prompt that its filter refuses: Azure, OpenAI, Alibaba.
FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "invalid_prompt", "data_inspection_failed"}
)


class PromptTooLong(UserError):
    """A prompt that the model's context has no room for."""


@dataclass
class OpenAIClient:
    """A schema.Backend. `base` is the model without an adapter, `model` the name that requests ask for."""

    base: str
    model: str
    server: ServerConfig
    transport: Transport
    context: int | None = None
    served_models: Mapping[str, int | None] | None = (
        None  # the models served and their contexts, if the server lists them
    )
    fim: FimFormat | None = None  # in which a prompt with a gap is written; None: the server does that
    proves: bool = True  # whether an adapter is asked for a proof

    @property
    def capabilities(self) -> Capabilities:
        """Nobody tells whether there is a chat template: most servers have one, and one without refuses a chat."""
        return replace(CAPABILITIES, chat=self.server.api != "completions")

    def __post_init__(self) -> None:
        self._dialect = Dialect()
        self._answered = False  # whether it has done a request
        self._proofs = dict[str, str]()  # of each adapter that was asked for

    @property
    def identity(self) -> Mapping[str, str]:
        plain = {"kind": "openai", "model": self.model, "engine": "openai api", "api": self.server.api}
        known = {"url": self.server.url, "weights": self.server.weights}
        known[adapter_proof.KEY] = self._proofs.get(self.model, "")
        return plain | {name: value for name, value in known.items() if value}

    def tokens(self, prompt: Prompt) -> int:
        """Estimated: the server has the tokenizer."""
        text = prompt.text + (prompt.suffix or "") + "".join(turn.content for turn in prompt.messages)
        return round(len(text.encode()) / CHARACTERS_A_TOKEN)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        return self.context is None or self.tokens(prompt) + max_tokens <= self.context

    def close(self) -> None:
        self.transport.close()

    def set_adapter(self, adapter: str) -> None:
        """Ask for this adapter from now on, for the base model if it is "". Raises ConfigError if it is not served.

        After any error the base is asked for.
        """
        wanted = adapter or self.base
        self._ask_for(self.base)
        if (
            self.served_models is not None
            and wanted not in self.served_models
            and not self.transport.on_this_machine
        ):
            raise ConfigError(f"{self.transport.url}: {unknown('model', wanted, self.served_models)}")
        if self.proves and wanted != self.base and wanted not in self._proofs:
            self._prove_adapter(wanted)
        self._ask_for(wanted)

    def _ask_for(self, model: str) -> None:
        self.model, self.context = model, (self.served_models or {}).get(model)

    def _prove_adapter(self, adapter: str) -> None:
        """See whether the adapter's answers are its own; a warning where that is not proved."""
        try:
            found = adapter_proof.prove(self._probe, self.base, adapter)
        except UserError as error:
            found = f"vouched: a probe was refused: {error}"
        finally:
            self.model, self._answered = self.base, False
        if found != adapter_proof.PROVED:
            LOG.warning("%s: nothing proves that adapter %s is used: %s", self.transport.url, adapter, found)
        self._proofs[adapter] = found

    def _probe(self, model: str, text: str) -> str:
        self.model = model
        turns = (Message(role="user", content=text),) if self.capabilities.chat else ()
        request = Request("probe", Prompt(text=text, messages=turns), (0,))
        sampling = Sampling(samples=1, temperature=0.0, max_tokens=adapter_proof.MAX_TOKENS)
        (made,) = self._samples(sampling, request, Event())
        return f"{made.completion.reasoning} {made.completion.text}"

    # ------------------------------------------------------------ many at a time

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        """Samples in the order in which they come. What other requests returned is yielded before an error is raised,
        so that a run keeps it. Prompts that are too long stop nothing, and a request that fails stops no others, until
        several fail in a row: all are named together."""
        _check_sampling(sampling)
        failure: HarnessError | None = None
        too_long: list[HarnessError] = []
        faults: list[HarnessError] = []
        in_a_row = 0

        def pieces() -> Iterator[Request]:
            for request in requests:
                at = 0
                while at < len(request.indices):
                    if failure is not None or in_a_row >= FAULTS_IN_A_ROW:
                        return
                    size = self._dialect.max_n
                    yield replace(request, indices=request.indices[at : at + size])
                    at += size

        work = partial(self._samples, sampling)
        for result in thread_pool.imap_unordered(work, pieces(), self.server.concurrency):
            if isinstance(result, PromptTooLong):
                too_long.append(result)
            elif isinstance(result, BackendFault):
                faults.append(result)
                in_a_row += 1
            elif isinstance(result, HarnessError):
                failure = failure or result
            else:
                in_a_row = 0
                yield from result
        if failure is not None:
            raise failure
        if several := faults or too_long:
            raise _merged(several)

    def _samples(self, sampling: Sampling, request: Request, cancelled: Event) -> list[Generation]:
        """All wanted samples of one problem; several requests if the server ignores `n`."""
        made: list[Completion] = []
        sampling = gap.with_ends(sampling, request.prompt, self.fim)
        opened = reasoning.opens_thought(request.prompt.text)
        while len(made) < len(request.indices):
            wanted = min(len(request.indices) - len(made), self._dialect.max_n)
            body = self._body(request, sampling, wanted, request.indices[len(made)])
            try:
                read = partial(response.completions, sampling=sampling, most=wanted, opened=opened)
                came = self._complete(body, read, wanted, cancelled)
            except HarnessError as error:
                if not isinstance(error, PromptTooLong) or sampling.over_long == "error":
                    raise type(error)(f"{request.problem_id}: {error}") from None
                came = [Completion(text="", finish="skipped", note=str(error))] * wanted
            if len(came) < wanted:
                self._dialect.max_n = min(self._dialect.max_n, len(came))
            made += came
        return [
            Generation(
                problem_id=request.problem_id,
                index=index,
                prompt_sha=request.prompt.sha,
                completion=completion,
            )
            for index, completion in zip(request.indices, made, strict=True)
        ]

    def _body(self, request: Request, sampling: Sampling, wanted: int, first: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            self._dialect.length: sampling.budget,
            "temperature": sampling.temperature,
        }
        if wanted > 1:
            body["n"] = wanted
        if sampling.temperature > 0:
            body["top_p"] = sampling.top_p
            body["seed"] = _seed(sampling.seed, request.problem_id, first)
        if stops := self._dialect.stops(sampling.stop):
            body["stop"] = stops
        if self._is_chat(request.prompt):
            turns = [{"role": turn.role, "content": turn.content} for turn in request.prompt.messages]
            body["messages"] = turns or [{"role": "user", "content": request.prompt.text}]
            if request.prompt.prefill:  # as vLLM and SGLang have it; a server that cannot says so
                body |= {"continue_final_message": True, "add_generation_prompt": False}
            body |= {"logprobs": True} if self.server.logprobs else {}
        else:
            body |= gap.fields(request.prompt, self.fim) | ({"logprobs": 1} if self.server.logprobs else {})
        return {key: value for key, value in body.items() if key not in self.server.omit} | dict(
            self.server.extra
        )

    def _is_chat(self, prompt: Prompt) -> bool:
        if self.server.api == "completions" and prompt.messages:
            raise ConfigError(
                "the prompt is a chat and backend.server.api is completions: choose another prompt, or api = 'chat'"
            )
        return self.server.api == "chat" or bool(prompt.messages)

    # ------------------------------------------------------------ one request

    def _complete(
        self, body: dict[str, Any], read: Callable[[Reply], list[Completion]], wanted: int, cancelled: Event
    ) -> list[Completion]:
        """Raises UserError for what a retry cannot help, BackendFault for what retries did not help."""
        path = "chat/completions" if "messages" in body else "completions"
        refused = partial(self._dialect.is_refusal, body)
        while isinstance(answer := self.transport.post(path, body, read, cancelled, refused), Reply):
            if answer.status in MISTAKES and str(answer.error.get("code")).lower() in FILTERED:
                words = self.transport.reason_given(answer)
                return [Completion(text="", finish="filtered", note=words)] * wanted
            if not self._dialect.learn(body, answer, self.transport.reason_given(answer)):
                raise self._refusal(answer, path, body)
        self._answered = True
        if "stop" in body and any(map(_stopped_in_thought, answer)):
            self._dialect.keep_stops_here(body, self.transport.url)
            return self._complete(body, read, wanted, cancelled)
        return answer

    def _refusal(self, answer: Reply, path: str, body: Mapping[str, Any]) -> HarnessError:
        reason = self.transport.reason_given(answer)
        if gap.is_refused(body, reason):
            return gap.refusal(self.transport.url, reason)
        if answer.status in (401, 403):
            return ConfigError(_no_key(self.transport, reason))
        if answer.status == 404:
            return ConfigError(f"{self.transport.url} has no model {self.model!r}, or no /{path}: {reason}")
        if answer.status in MISTAKES and TOO_LONG.search(reason):
            return PromptTooLong(
                f"too long for the model's context: {reason}. Fewer shots, or less sampling.max_tokens"
            )
        if answer.status in MISTAKES and self._answered:
            return BackendFault(
                f"{self.transport.url} refuses this request (status {answer.status}), and took others: {reason}"
            )
        return ConfigError(
            f"{self.transport.url} refuses the request (status {answer.status}): {reason}. It had"
            f" {', '.join(sorted(body))}; backend.server.omit leaves fields out, backend.server.extra adds some"
        )


def _stopped_in_thought(made: Completion) -> bool:
    """Whether a completion ended by itself before there was an answer: a stop string met in the thought does that."""
    parts = separate(made)
    return bool(parts.reasoning) and not parts.text.strip() and made.finish in ("stop", "eos")


def _merged(errors: Sequence[HarnessError]) -> HarnessError:
    """The first error, and the ids of the others, of one kind."""
    others = [str(error).partition(": ")[0] for error in errors[1:]]
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    return type(errors[0])(
        f"{errors[0]}" + (f". Likewise {', '.join(others[:NAMED])}{more}" if others else "")
    )


def _seed(seed: int, problem_id: str, first: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {problem_id} {first}".encode()).digest()[:4], "big") >> 1


def check_sampling(config: BackendConfig, sampling: Sampling) -> None:
    """Raises ConfigError for what the protocol has no field for."""
    del config
    _check_sampling(sampling)


def _check_sampling(sampling: Sampling) -> None:
    if sampling.beams > 1:
        raise ConfigError(
            "sampling.beams: OpenAI's protocol has no beam search; leave it out, or use backend.kind = 'hf'"
        )
    if sampling.over_long == "truncate_left":
        raise ConfigError(
            "over_long = 'truncate_left': the server has the tokenizer; leave it out, or where the server can truncate"
            " say so, for vLLM backend.server.extra = {truncate_prompt_tokens = ...}"
        )
    if sampling.top_k > 0:
        raise ConfigError(
            "sampling.top_k: OpenAI's protocol has none; leave it out, or where the server has it say "
            "backend.server.extra = {top_k = ...}"
        )


# ---------------------------------------------------------------- opening


def _no_key(transport: Transport, reason: str) -> str:
    what = "the key in" if transport.key else "no key in"
    asks = f"{transport.server.url or 'the server'} asks for a key"
    return f"{asks}: {what} the environment variable {transport.server.key_env}: {reason}"


def load(config: BackendConfig, problem_ids: Sequence[str] = ()) -> OpenAIClient:
    """Connect and see that the model is there. Raises ConfigError, BackendFault."""
    del problem_ids
    require_model(config)
    return connect(config)


def check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    del problem_ids
    require_model(config)
    connect(config, proves=False).close()


def connect(config: BackendConfig, url: str = "", proves: bool = True) -> OpenAIClient:
    """`url`: of a server that was started for this model. It may list it by another name, or not at all."""
    server = config.server or ServerConfig()
    if config.template_args:
        extra = {**server.extra, SERVER_TEMPLATE_ARGS: dict(config.template_args)}
        server = server.model_copy(update={"extra": extra})
    key = os.environ.get(server.key_env, "")
    transport = Transport(
        url=(url or server.url).rstrip("/") + "/", server=server, key=key, on_this_machine=bool(url)
    )
    client = OpenAIClient(config.model, config.adapter or config.model, server, transport, proves=proves)
    client.fim = gap.format_of(config)
    try:
        client.served_models = _models(transport)
        client.set_adapter(config.adapter)
    except HarnessError:
        client.close()
        raise
    return client


def _models(transport: Transport) -> dict[str, int | None] | None:
    """The models served, with the context's length if the server tells it; None if it does not list any."""
    import httpx2

    began = time.monotonic()
    for attempt in range(3):
        if attempt:
            transport.sleep(FIRST_WAIT_S * attempt, threading.Event())
        try:
            answer = transport.http.get("models", timeout=10.0)
            break
        except httpx2.RequestError as error:
            reason = transport.redact(str(error)) or type(error).__name__
    else:
        raise BackendFault(
            f"no server at {transport.url}: tried 3 times in {time.monotonic() - began:.1f} s: {reason}. Start it, or "
            "correct backend.server.url"
        )
    reply = Reply(answer.status_code, answer.headers, answer.content)
    if reply.status in (401, 403):
        raise ConfigError(_no_key(transport, transport.reason_given(reply)))
    try:
        rows = reply.json()["data"] if reply.status == 200 else None
        found = {row["id"]: count(row.get("max_model_len")) or None for row in rows or ()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if found and all(isinstance(name, str) for name in found) else None


backend = BackendLoader(load, check, check_sampling, CAPABILITIES, check_fim=gap.check_fim)
