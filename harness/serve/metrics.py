"""Counts and times of a service, in the text that Prometheus reads. No library: it is three kinds of line."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from threading import Lock

PREFIX = "harness_judge"
BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Any thread may count. `gauges` are asked when somebody reads."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._gauges = gauges
        self._lock = Lock()
        self._requests: Counter[Labels] = Counter()
        self._verdicts: Counter[Labels] = Counter()
        self._seconds: dict[Labels, list[float]] = {}  # of each path: a count for each bucket, count, sum

    def request(self, path: str, status: int, seconds: float) -> None:
        with self._lock:
            self._requests[("path", path), ("status", str(status))] += 1
            row = self._seconds.setdefault((("path", path),), [0.0] * (len(BUCKETS_S) + 2))
            for place, limit in enumerate(BUCKETS_S):
                row[place] += seconds <= limit
            row[-2] += 1
            row[-1] += seconds

    def verdict(self, task: str, status: str) -> None:
        with self._lock:
            self._verdicts[("task", task), ("status", status)] += 1

    def text(self) -> str:
        with self._lock:
            lines = [
                *_counter("requests_total", "Requests answered, by path and status.", self._requests),
                *_counter("verdicts_total", "Verdicts given, by task and status.", self._verdicts),
                *self._histogram(),
            ]
        for name, (about, value) in self._gauges.items():
            lines += [*_head(name, about, "gauge"), f"{PREFIX}_{name} {value():g}"]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterable[str]:
        name = "request_seconds"
        yield from _head(name, "Seconds to an answer's head.", "histogram")
        for labels, row in sorted(self._seconds.items()):
            limits = [*(f"{limit:g}" for limit in BUCKETS_S), "+Inf"]
            for limit, count in zip(limits, row[:-1], strict=True):
                yield f"{PREFIX}_{name}_bucket{_labels((*labels, ('le', limit)))} {count:g}"
            yield f"{PREFIX}_{name}_sum{_labels(labels)} {row[-1]:.6f}"
            yield f"{PREFIX}_{name}_count{_labels(labels)} {row[-2]:g}"


def _counter(name: str, about: str, counts: Mapping[Labels, int]) -> Iterable[str]:
    yield from _head(name, about, "counter")
    for labels, count in sorted(counts.items()):
        yield f"{PREFIX}_{name}{_labels(labels)} {count}"


def _head(name: str, about: str, kind: str) -> list[str]:
    return [f"# HELP {PREFIX}_{name} {about}", f"# TYPE {PREFIX}_{name} {kind}"]


def _labels(labels: Labels) -> str:
    escaped = (
        (name, text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for name, text in labels
    )
    return "{" + ",".join(f'{name}="{text}"' for name, text in escaped) + "}"
