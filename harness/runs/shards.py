"""One of N shards of a run, for machines that share nothing but a folder: every N-th problem, with the whole's record.

A shard is planned like the whole run, with every problem: the shots that are retrieved, the prompts and what
identifies the run must not depend on N. Only then is every N-th problem kept, starting with problem I: neighbours in
a benchmark are often alike, so that shards take about the same time. resolve.py selects a shard, merge.py joins them.
"""

from dataclasses import dataclass

from harness.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Number `index`, counted from 0, of `of`."""

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
        raise ConfigError(f"--shard {text!r}: expected I/N, such as 0/3 for the first of three shards")
    shard = Shard(int(index), int(of))
    if shard.index >= shard.of:
        raise ConfigError(
            f"--shard {text}: shards are counted from 0, the last of {of} is {shard.of - 1}/{of}"
        )
    return shard


def check(shard: Shard, problems: int) -> None:
    """Raises ConfigError where a shard would be empty."""
    if shard.of > problems:
        raise ConfigError(
            f"--shard {shard}: the run has {problems} problems: at most {problems} shards make sense"
        )


def run_id(whole: str, shard: Shard) -> str:
    return f"{whole}-shard-{shard.index}-of-{shard.of}"
