"""How likely the model finds each problem's solution after the prompt: perplexity, bits per byte, mean logprob.

Judges the model, not its answers: a problem has one value, which each of its samples repeats. Needs a
`schema.LikelihoodBackend`; the tokens of the prompt and the end-of-text are not counted. `Score.stats` are
the sum of natural log-probabilities, the tokens, and the solution's bytes in UTF-8, so the corpus values come
from sums like every other metric's. Perplexity depends on the tokenizer, bits per byte does not.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.schema import Answer, Completion, Problem, Reduce, Sandbox, Score, Scorer, Supplies, Verdict

if TYPE_CHECKING:
    from harness.schema import Floats


def score_of(completion: Completion) -> Score:
    """The mean log-probability of a token, in nats; -inf is impossible, and 0 stands for a text of no tokens."""
    assert completion.logprob is not None
    tokens = completion.completion_tokens
    stats = (completion.logprob, float(tokens), float(len(completion.text.encode("utf-8", "surrogatepass"))))
    return Score(value=completion.logprob / max(1, tokens), stats=stats)


def _unprepared(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
    raise UserError("perplexity is a model's, not an answer's: it needs a run with a backend that can tell")


def prepare(supplies: Supplies) -> Scorer:
    scores = {problem_id: score_of(completion) for problem_id, completion in supplies.likelihoods().items()}

    def score(answers: Iterable[Answer], sandbox: Sandbox | None) -> Iterator[Verdict]:
        del sandbox
        for problem, _ in answers:
            yield Verdict("scored", scores[problem.id])

    return replace(perplexity, score=score)


def metrics(ks: Sequence[int]) -> Mapping[str, Reduce]:
    from harness.stats.estimates import mean_of

    def first(scores: "Floats") -> "Floats":
        return scores[0, 1:]

    def perplexity(sums: "Floats") -> "Floats":
        import numpy as np

        value: Floats = np.exp(-sums[..., 0] / np.maximum(sums[..., 1], 1.0))
        return value

    def bits(sums: "Floats") -> "Floats":
        import numpy as np

        value: Floats = -sums[..., 0] / math.log(2.0) / np.maximum(sums[..., 2], 1.0)
        return value

    return {
        "perplexity": Reduce(first, perplexity, unit="number", lower_is_better=True),
        "bits_per_byte": Reduce(first, bits, unit="number", lower_is_better=True),
        "reference_logprob": mean_of(unit="number"),
    }


def signature(problems: Sequence[Problem]) -> str:
    del problems
    return "perplexity of the solution eos:no"


perplexity = Scorer(
    name="perplexity",
    score=_unprepared,
    metrics=metrics,
    signature=signature,
    needs=("likelihoods",),
    prepare=prepare,
)
