"""Whether an adapter's answers are its own: the same probes to the base and to the adapter, as greedy as a server can.

A served name proves nothing: a server may ignore it, or hold an adapter that changes nothing. Answers that differ do,
where the base's own do not differ from one time to the next.
"""

from collections.abc import Callable

PROBES = (
    "def add(a, b):\n    return a",
    "-- the names of all customers, by country\nSELECT",
    "Write a function that returns the longest word of a text.",
)
MAX_TOKENS = 32
PROVED = "proved: the adapter's answer to a probe differs from the base's"
KEY = "adapter_proof"  # in a backend's identity; no part of a run's

Ask = Callable[[str, str], str]  # the answer of a model, by its name, to a text


def prove(ask: Ask, base: str, adapter: str) -> str:
    """What a run's record says: proved, or vouched and why there is no proof. Raises what `ask` raises."""
    unsteady = False
    for text in PROBES:
        first = ask(base, text)
        if ask(adapter, text) == first:
            continue
        if ask(base, text) == first:
            return PROVED
        unsteady = True
    if unsteady:
        return "vouched: the base itself answers a probe differently each time"
    return f"vouched: the adapter answers {len(PROBES)} probes as the base does"
