"""One of N parts of a run, for machines that share nothing but a folder: every N-th problem, with the whole's record.

A part is planned as the whole is, with every problem: the shots that are retrieved, the prompts and what
identifies the run must not depend on N. Only then is every N-th problem kept, from problem I on: neighbours in
a benchmark are often alike, so that parts made this way take about as long as each other. resolve.py selects a
part, merge.py puts parts together.
"""

from dataclasses import dataclass

from harness.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Part `index`, counted from 0, of `of`."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


def parse(text: str | None) -> Shard | None:
    """Shard(0, 3) of "0/3", None of nothing. Raises ConfigError."""
    if text is None:
        return None
    index, slash, of = text.partition("/")
    if not slash or not all(part.isascii() and part.isdigit() for part in (index, of)):
        raise ConfigError(f"--shard {text!r}: expected I/N, 0/3 say for the first of three parts")
    shard = Shard(int(index), int(of))
    if shard.index >= shard.of:
        raise ConfigError(
            f"--shard {text}: parts are counted from 0, the last of {of} is {shard.of - 1}/{of}"
        )
    return shard


def check(shard: Shard, problems: int) -> None:
    """Raises ConfigError where a part would be empty."""
    if shard.of > problems:
        raise ConfigError(
            f"--shard {shard}: the run has {problems} problems: at most {problems} parts make sense"
        )


def name(whole: str, shard: Shard) -> str:
    return f"{whole}-shard-{shard.index}-of-{shard.of}"
