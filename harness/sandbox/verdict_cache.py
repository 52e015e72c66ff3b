"""The verdict cache: equal programs are judged once, within a run always, across runs where there is a file.

A schema.Sandbox around another. A result is taken for a program only if everything is equal that decides it: the
program with its input, files, tests and limits (all of schema.Program), and the judge: this package's own text, its
isolation level, version of the language, packages that programs may import, modules loaded before, limits of its own.
Scorers whose results are such programs' say so (`Scorer.cacheable`); what they make of them is made anew for each
sample, so samples that are judged together and tests that change need no further thought.

Judged each time, and by itself, is what time or the machine may decide:

    faults, timeouts, memory, output, signals, and whatever says "judge resources"
    what took more than half of its CPU time, wall time or memory; where each call has a limit, half of that
    programs and tests that name a clock

A result taken over has used no time, and is like the first in all else. Who can write the file can forge results: it
has to be its owner's alone, and without isolation, where programs could write it, there is none. A pass is in it with
the certainty of a fresh one: a program that fools the random controls by chance (one in a thousand) stays in it.
Queries are not here: they are quick, and their databases may change.
"""

import hashlib
import json
import logging
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from threading import Lock
from typing import Any

from harness import __version__
from harness.environment import hardware
from harness.errors import SandboxFault
from harness.files.cache_file import LAYOUT, CacheFile, canonical
from harness.schema import ExecResult, Pair, PairResult, Program, Sandbox, UnitTests

LOG = logging.getLogger(__name__)
MAX_BYTES = 1 << 30
_ENTRY_BYTES = 1 << 20  # of a result; a larger one is judged again
_RECENT_BYTES = 64 << 20  # of results that are kept in memory
# Programs drawn and not yet answered: more than a sandbox draws ahead, so that it does not run dry among equal ones.
_WAITING = 2048
_KEPT = frozenset({"passed", "failed", "error", "compile_error"})
_OF_THE_MACHINE = ("judge resources", "the compiler needs")
_CALL_S = 1.0  # the smallest limit of one call (tests that set `cpu_s` of the function)
_CLOCK = re.compile(
    r"\b(?:[Nn]ow|utcnow|today|time|time_ns|perf_counter\w*|process_time\w*|thread_time\w*|monotonic\w*|localtime|gmtime"
    r"|ctime|asctime|strftime|clock\w*|default_timer|getrusage|gettimeofday|hrtime|nanoTime|currentTimeMillis)\s*\("
    r"|\b(?:DateTime|Time)\.(?:Now|UtcNow|Today|now)\b|\bnew\s+Date\b|\bfrom\s+time\s+import\b|[\"'](?:now|today)[\"']"
)
# One of which is in whatever _CLOCK finds: most programs have none, and looking for these is quick.
_CLOCK_PARTS = ("ime", "now", "Now", "oday", "perf_counter", "monotonic", "clock", "rusage", "Date")
_UNTIMED = {"cpu_s", "wall_s", "peak_mb"}
_NONE = Program(code="")


@dataclass
class _Place:
    """A program's place among those that were drawn. `key` is empty for one that is judged by itself."""

    program: Program
    key: bytes
    result: ExecResult | SandboxFault | None = None


class CachingSandbox:
    """`judge`: what the sandbox's settings add to what it says of itself. A context manager; `reused` counts. As many
    threads may use it as may use the sandbox.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        judge: Mapping[str, Any],
        file: Path | None,
        warn: Callable[[str], None] = LOG.warning,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._sandbox, self._judge = sandbox, judge
        trusted = file is not None and sandbox.isolation != "process"
        self._file = CacheFile(file if trusted else None, "verdict cache", warn, max_bytes, private=True)
        self._recent: OrderedDict[bytes, str] = OrderedDict()
        self._recent_bytes = 0
        self._identities: dict[str, tuple[str, str]] = {}  # of a language, and its digest
        self._tests: tuple[UnitTests | None, str] = (
            None,
            _digest(""),
        )  # those of the last program, and their digest
        self.reused = 0
        self._lock = Lock()  # of the file, and of what is remembered

    def __enter__(self) -> "CachingSandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.__exit__()

    # ------------------------------------------------------------ a sandbox

    @property
    def isolation(self) -> str:
        return self._sandbox.isolation

    @property
    def packages(self) -> Mapping[str, str]:
        return self._sandbox.packages

    @property
    def absent(self) -> tuple[str, ...]:
        return self._sandbox.absent

    def versions(self, languages: Iterable[str]) -> Mapping[str, str]:
        return self._sandbox.versions(languages)

    def judge_queries(self, pairs: Iterable[Pair]) -> Iterator[PairResult | SandboxFault]:
        return self._sandbox.judge_queries(pairs)

    def run(self, program: Program) -> ExecResult:
        (result,) = self.map([program])
        if isinstance(result, SandboxFault):
            raise result
        return result

    def map(self, programs: Iterable[Program]) -> Iterator[ExecResult | SandboxFault]:
        """As the sandbox does; of equal programs one is judged, and the others wait for it."""
        coming, ended = iter(programs), False
        waiting, asked, again = deque[_Place](), deque[_Place](), deque[_Place]()
        equal: dict[
            bytes, list[_Place]
        ] = {}  # the one with this key that is being judged, and those that wait for it

        def unknown() -> Iterator[Program]:
            nonlocal ended
            while again or len(waiting) < _WAITING:
                if again:
                    place = again.popleft()
                else:
                    program = next(coming, None)
                    if program is None:
                        ended = True
                        return
                    with self._lock:
                        place = self._place(program, equal)
                    waiting.append(place)
                    if place.result is not None or place is not equal.get(place.key, [place])[0]:
                        continue
                asked.append(place)
                yield place.program

        while again or not ended:
            for result in self._sandbox.map(unknown()):
                place = asked.popleft()
                place.result = result
                with self._lock:
                    again += self._settle(place, equal.pop(place.key, [place])[1:])
                yield from _answered(waiting)
            yield from _answered(waiting)

    def _place(self, program: Program, equal: dict[bytes, list[_Place]]) -> _Place:
        """With the result that is known, or among those that wait for it."""
        key = self._key(program)
        if key in equal:
            place = _Place(equal[key][0].program, key)  # the first one's text: equal ones take no more memory
            equal[key].append(place)
        elif key and (found := self._find(key)) is not None:
            place = _Place(_NONE, key, found)
        else:
            place = _Place(program, key)
            if key:
                equal[key] = [place]
        return place

    # ------------------------------------------------------------ results and their keys

    def _settle(self, judged: _Place, others: Sequence[_Place]) -> Sequence[_Place]:
        """Keep a result and give it to equal programs. Returns those for which it does not count."""
        result = judged.result
        if not judged.key or not isinstance(result, ExecResult) or not self._repeats(judged.program, result):
            for place in others:
                place.key = b""
            return others
        text = canonical(result.model_dump(exclude=_UNTIMED))
        if len(text) <= _ENTRY_BYTES:
            self._file.add(self._identity(judged.program.language)[0], judged.key, text)
            self._remember(judged.key, text)
        for place in others:
            place.result = _restored(text)
        self.reused += len(others)
        return ()

    def _find(self, key: bytes) -> ExecResult | None:
        text = self._recent.get(key) or self._file.find(key)
        if text is None:
            return None
        try:
            result = _restored(text)
        except (TypeError, ValueError) as error:  # not what this version writes
            self._file.disable(error)
            return None
        self._remember(key, text)
        self.reused += 1
        return result

    def _remember(self, key: bytes, text: str) -> None:
        if key in self._recent:
            self._recent.move_to_end(key)
            return
        self._recent[key] = text
        self._recent_bytes += len(text)
        while self._recent_bytes > _RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])

    def _key(self, program: Program) -> bytes:
        """Empty for a program that is judged each time."""
        tests = program.tests
        if tests is not self._tests[0]:
            text = canonical(tests.model_dump()) if tests else ""
            self._tests = tests, "" if tests and _names_clock(tests.code, tests.setup) else _digest(text)
        if not self._tests[1] or _names_clock(program.code):
            return b""
        plain = [self._identity(program.language)[1], program.model_dump(exclude={"tests"}), self._tests[1]]
        return hashlib.sha256(canonical(plain).encode()).digest()

    def _identity(self, language: str) -> tuple[str, str]:
        if language not in self._identities:
            plain = {
                "layout": LAYOUT,
                "harness": __version__,
                "source": source_digest(),
                "isolation": self._sandbox.isolation,  # a weaker level's verdict is for that level alone
                "language": language,
                "version": self._sandbox.versions([language])[language],
                "packages": dict(self._sandbox.packages) if language == "python" else {},
                "machine": hardware()["machine"],
                **self._judge,
            }
            text = canonical(plain)
            self._identities[language] = text, _digest(text)
        return self._identities[language]

    def _repeats(self, program: Program, result: ExecResult) -> bool:
        """Whether the result hangs on neither time nor the machine."""
        limits = program.limits
        cpu_s, wall_s = limits.cpu_s, limits.wall_s
        if (time_limit := self._judge.get("time_limit")) is not None:
            cpu_s, wall_s = time_limit, wall_s * time_limit / cpu_s
        if 2 * result.cpu_s > _CALL_S and (tests := program.tests) and ".cpu_s" in tests.code + tests.setup:
            cpu_s = min(cpu_s, _CALL_S)
        memory_mb = self._judge.get("memory_mb") or limits.memory_mb
        return (
            result.status in _KEPT
            and not result.detail.startswith(_OF_THE_MACHINE)
            and 2 * result.cpu_s <= cpu_s
            and 2 * result.wall_s <= wall_s
            and 2 * result.peak_mb <= memory_mb
        )


def _answered(waiting: deque[_Place]) -> Iterator[ExecResult | SandboxFault]:
    """The results at the front, up to the first that is not there."""
    while waiting and (result := waiting[0].result) is not None:
        waiting.popleft()
        yield result


def _names_clock(*texts: str) -> bool:
    return any(any(part in text for part in _CLOCK_PARTS) and _CLOCK.search(text) for text in texts)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _restored(text: str) -> ExecResult:
    return ExecResult(**json.loads(text))


@cache
def source_digest() -> str:
    """Of the text of this package: another judge's results are not taken."""

    def modules(folder: Traversable) -> Iterator[Traversable]:
        for each in sorted(folder.iterdir(), key=lambda found: found.name):
            if each.is_dir():
                yield from modules(each)
            elif each.name.endswith(".py"):
                yield each

    whole = hashlib.sha256()
    for module in modules(files("harness.sandbox")):
        whole.update(hashlib.sha256(module.read_bytes()).digest())
    return whole.hexdigest()[:16]


def outdated(identity: Mapping[str, Any]) -> bool:
    """Whether no run of this version asks under such an identity."""
    return (
        identity.get("layout") != LAYOUT
        or identity.get("harness") != __version__
        or identity.get("source") != source_digest()
    )


def digests(identity: Mapping[str, Any]) -> list[str]:
    """By which a judge is known."""
    return [_digest(canonical(identity))]
