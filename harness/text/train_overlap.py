"""How much answers repeat a training set: shared 13-grams, the longest common run, exact copies. Pure.

The answers are the small side. They are put into one suffix automaton (Blumer et al., 1985), and the training
texts stream through it once: time grows with the tokens of both, memory with the answers' alone. Tokens may
be anything hashable: words, a tokeniser's ids, characters. Not here: whether a repetition is to be blamed;
`return result` is in every training set.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

NGRAM_LENGTH = (
    13  # tokens, the length at which GPT-3's authors called a text contaminated (arXiv 2005.14165, app. C)
)

Tokens = Sequence[Hashable]


@dataclass(frozen=True)
class Overlap:
    """One answer against a whole training set. Lengths in tokens.

    `shared` of its `ngrams` n-grams (by position, so a repeated one counts each time) are in a training text;
    `longest` is its longest run that is; `copy` says that the whole answer is a whole training text.
    """

    ngrams: int
    shared: int
    longest: int
    copy: bool


@dataclass(frozen=True)
class _SuffixAutomaton:
    """All runs of the answers. State 0 is the empty run; `length` is a state's longest run, `link` the state
    of its longest end that occurs elsewhere too."""

    steps: list[dict[Hashable, int]]
    link: list[int]
    length: list[int]

    def add(self, text: Tokens) -> None:
        last = 0
        for token in text:
            last = self._extend(last, token)

    def _extend(self, last: int, token: Hashable) -> int:
        """The state of the run `last` + token, made where it is missing."""
        there = self.steps[last].get(token)
        if there is not None:  # another answer has this beginning
            return there if self.length[there] == self.length[last] + 1 else self._split(last, token, there)
        state = self._state({}, self.length[last] + 1)
        at = last
        while at != -1 and token not in self.steps[at]:
            self.steps[at][token] = state
            at = self.link[at]
        if at != -1:
            there = self.steps[at][token]
            fits = self.length[there] == self.length[at] + 1
            self.link[state] = there if fits else self._split(at, token, there)
        else:
            self.link[state] = 0
        return state

    def _state(self, steps: dict[Hashable, int], length: int) -> int:
        self.steps.append(steps)
        self.link.append(-1)
        self.length.append(length)
        return len(self.steps) - 1

    def _split(self, at: int, token: Hashable, there: int) -> int:
        """Give the runs of `there` that are no longer than those of `at` + token a state of their own."""
        half = self._state(dict(self.steps[there]), self.length[at] + 1)
        self.link[half], self.link[there] = self.link[there], half
        while at != -1 and self.steps[at].get(token) == there:
            self.steps[at][token] = half
            at = self.link[at]
        return half

    def matched(self, training: Iterable[Tokens], copies: set[tuple[Hashable, ...]]) -> list[int]:
        """For each state: the longest of its runs, or of their ends, that a training text has.

        Takes those training texts out of `copies` that are in it.
        """
        best = [0] * len(self.steps)
        for text in training:
            copies.discard(tuple(text))
            at = run = 0
            for token in text:
                while at and token not in self.steps[at]:
                    at = self.link[at]
                    run = self.length[at]
                to = self.steps[at].get(token)
                at, run = (0, 0) if to is None else (to, run + 1)
                best[at] = max(best[at], run)
        by_length = sorted(range(1, len(self.steps)), key=self.length.__getitem__)
        for state in reversed(by_length):  # a text that has a run has its ends
            if best[state] and self.link[state]:
                best[self.link[state]] = self.length[self.link[state]]
        for state in by_length:
            best[state] = best[state] or best[self.link[state]]
        return best


def overlap(answers: Sequence[Tokens], training: Iterable[Tokens], n: int = NGRAM_LENGTH) -> list[Overlap]:
    """Each answer against the training texts, which are read once. Raises ValueError for n below 1."""
    if n < 1:
        raise ValueError(f"n-grams need n >= 1, got {n}")
    automaton = _SuffixAutomaton([{}], [-1], [0])
    for answer in answers:
        automaton.add(answer)
    whole = {tuple(answer) for answer in answers if answer}
    missing = set(whole)
    best = automaton.matched(training, missing)
    found = []
    for answer in answers:
        state, runs = 0, []
        for token in answer:
            state = automaton.steps[state][token]
            runs.append(best[state])  # the longest run of a training text that ends at this token
        shared = sum(run >= n for run in runs)
        copy = len(answer) > 0 and tuple(answer) not in missing
        found.append(Overlap(max(0, len(answer) - n + 1), shared, max(runs, default=0), copy))
    return found
