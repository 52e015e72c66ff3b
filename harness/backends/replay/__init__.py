"""Recorded completions as a backend: other tools' files, this project's own generations.jsonl. No model.

Formats, detected from the content (plain or gzip; docs/completions.md has a row of each, and how to convert others):
  JSON lines   {"task_id" or "problem_id": ID, "completion" | "solution" | "generation" | "text": TEXT or [TEXT, ...]};
               several rows an id = samples; or a JSON list of such rows
  own          generations.jsonl rows, with index and prompt hash
  lm-eval      samples_*.jsonl rows: {"doc": {"task_id": ID, ...}, "resps": [[TEXT, ...]]}
  batches      OpenAI's and vLLM's: {"custom_id": ID, "response": {"body": {"choices": [...]}}}
  lists        a JSON list of lists of programs in task order (bigcode), or an object of lists by id (CRUXEval)
  folders      ID_WITH_UNDERSCORES/0.py ... (EvalPlus), or a JSON file a problem (MultiPL-E)
  lines        one query a line in the order of the gold file, as Spider's official evaluator takes them
               (what follows a tab is left out; empty lines part interactions)
  WikiSQL      JSON lines {"query": FORM} or {"error": TEXT} in task order
  BIRD         one JSON object {"0": QUERY + "\\t----- bird -----\\t" + DATABASE, ...} in task order

The likelihoods.jsonl next to a generations.jsonl is read too, if there is one.

`completion` continues the prompt to the letter (human-eval), so does `generation` (HumanEval-X), `solution` is a whole
program (evalplus), `text` is raw model output in which an answer is looked for; the programs of lists and folders are
whole (bigcode), and so are queries. backend.field names another field. `reasoning` beside a text is what the model
thought before. Ids without completions and malformed rows are errors with their line. Rows of problems that are not in
the run are kept apart in `unmatched`: whether the task knows them (beyond a limit, excluded) is for the run to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.backends.loader import BackendLoader
from harness.backends.replay.recording import RecordedSample, Recording, open_recording
from harness.config.backend import BackendConfig
from harness.errors import ConfigError, DataError
from harness.schema import Capabilities, Generation, LikelihoodRequest, Prompt, Request, Sampling

MAX_NAMES = 5
CAPABILITIES = Capabilities(recorded=True, likelihoods=True)
LIKELIHOODS = "likelihoods.jsonl"


@dataclass(frozen=True)
class Replay:
    """A schema.Backend of recorded completions. `likelihoods_file` is None if there are no recorded likelihoods."""

    identity: Mapping[str, str]
    counts: Mapping[str, int]
    completions: Recording
    likelihoods_file: Recording | None = None

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    @property
    def unmatched(self) -> Mapping[str, tuple[str, int]]:
        return self.completions.unmatched

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        del sampling
        for request in requests:
            name, prompt = request.problem_id, request.prompt
            found = self.completions.read(name, request.indices)
            for index, one in zip(request.indices, found, strict=True):
                yield _as_generation(self.completions, one, name, index, prompt)

    def likelihoods(self, requests: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        if self.likelihoods_file is None:
            raise ConfigError(
                "the recording has no log-probabilities of references, and there is no model: leave the scorer"
                " that needs them out, or give the generations.jsonl of a run that has a likelihoods.jsonl"
            )
        for one in requests:
            if one.problem_id not in self.likelihoods_file.samples:
                raise DataError(f"{LIKELIHOODS}: no row for {one.problem_id}")
            (found,) = self.likelihoods_file.read(one.problem_id, (0,))
            if found.completion.text != one.text:
                place = self.likelihoods_file.place(found.offset)
                raise DataError(f"{place}: {one.problem_id} was recorded for another reference")
            yield _as_generation(self.likelihoods_file, found, one.problem_id, 0, one.prompt)

    def tokens(self, prompt: Prompt) -> int:
        """In words: there is no tokenizer."""
        return len(prompt.text.split()) + sum(len(message.content.split()) for message in prompt.messages)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        del prompt, max_tokens
        return True

    def close(self) -> None:
        self.completions.close()
        if self.likelihoods_file is not None:
            self.likelihoods_file.close()


def _as_generation(
    where: Recording, found: RecordedSample, problem_id: str, index: int, prompt: Prompt
) -> Generation:
    """The recorded row, if it was made for this prompt. Raises DataError otherwise."""
    if found.prompt_sha and found.prompt_sha != prompt.sha:
        raise DataError(
            f"{where.place(found.offset)}: {problem_id} was recorded for another prompt ({found.prompt_sha}, not"
            f" {prompt.sha}): choose that prompt with --set prompt=NAME"
        )
    return Generation(problem_id=problem_id, index=index, prompt_sha=prompt.sha, completion=found.completion)


def load(config: BackendConfig, problem_ids: Sequence[str]) -> Replay:
    """Index and check the file. Raises DataError naming the line."""
    if not config.path:
        raise ConfigError("no recorded completions: give --completions FILE (or backend.path in the config)")
    path = Path(config.path)
    if not path.exists():
        raise DataError(f"no completions file {config.path!r}")
    recorded = open_recording(path, problem_ids, field=config.field)
    missing = [name for name in problem_ids if name not in recorded.samples]
    if missing and not config.partial:
        there = [f"{name} ({place})" for name, (place, _) in recorded.unmatched.items()]
        others = f". Not asked for, but there: {_some(there)}" if there else ""
        raise DataError(
            f"{path}: no completion for {len(missing)} of {len(problem_ids)} problems: {_some(missing)}."
            f" Add them, or score what is there with --partial{others}"
        )
    if len(missing) == len(problem_ids):
        raise DataError(f"{path}: no completions in it")
    identity = {"kind": "replay", "completions": recorded.digest}
    neighbour, likelihoods = path.with_name(LIKELIHOODS), None
    if path.name == "generations.jsonl" and neighbour.is_file():
        likelihoods = open_recording(neighbour, problem_ids, strict=True)
        identity["likelihoods"] = likelihoods.digest
    counts = {name: len(recorded.samples[name]) for name in problem_ids if name in recorded.samples}
    return Replay(identity, counts, recorded, likelihoods)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def check(config: BackendConfig, problem_ids: Sequence[str]) -> None:
    load(config, problem_ids).close()


def check_sampling(config: BackendConfig, sampling: Sampling) -> None:
    """Nothing is sampled; a setting without effect is refused with the config."""
    del config, sampling


def check_fim(config: BackendConfig) -> None:
    """Nobody is asked anything."""
    del config


backend = BackendLoader(load, check, check_sampling, CAPABILITIES, check_fim=check_fim)
