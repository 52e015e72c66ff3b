"""How one server wants to be asked: learnt from what it refuses, and kept for every later request.

Nothing here changes what is asked for: the same limit by another name, fewer stop strings (all are applied to the
answer as well), one sample at a time. What would, a temperature that a server does not take, is the user's to decide.
"""

import logging
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.backends.openai import gap
from harness.backends.openai.transport import Reply

LOG = logging.getLogger(__name__)

FEW_STOPS = 4  # that OpenAI's own API takes
MAX_SAMPLES = 128  # in one request, likewise
MISTAKES = (400, 413, 422)  # statuses of a request that the server will not do
ABOUT_STOPS = re.compile(r"\bstop(s|_sequences?|_strings?)?\b", re.I)
ABOUT_N = re.compile(r"['\"`]n['\"`]|\bn ?(>|=)|\bbest_of\b|\bone completion choice\b", re.I)
MISTAKE_AS_FAULT = 500  # llama.cpp says so what fields it does not take: trying again does not help


@dataclass
class Dialect:
    """Shared by the threads of a client: each learns for all."""

    length: str = "max_tokens"  # newer models of OpenAI's call it max_completion_tokens
    max_stops: int = sys.maxsize
    max_n: int = MAX_SAMPLES

    def stops(self, stops: Sequence[str]) -> list[str]:
        """Those that are sent: all, or the first ones and always the closing fence, behind which a model goes on for
        as long as it may."""
        if len(stops) <= self.max_stops:
            return list(stops)
        fences = [stop for stop in stops[self.max_stops :] if stop.strip() == "```"][: min(1, self.max_stops)]
        return [*stops[: self.max_stops - len(fences)], *fences]

    def learn(self, body: dict[str, Any], answer: Reply, reason: str) -> bool:
        """Change a refused request so that the server may take it. False where it complains about something else."""
        if answer.status not in MISTAKES:
            return "n" in body and self.is_refusal(body, answer, reason) and self._ask_for_one(body)
        if "max_tokens" in body and "max_completion_tokens" in reason:
            self.length = "max_completion_tokens"
            body[self.length] = body.pop("max_tokens")
            return True
        named = answer.error.get("param")
        if body.get("stop") and (named == "stop" or ABOUT_STOPS.search(reason)):
            self._send_fewer_stops(body, FEW_STOPS if len(body["stop"]) > FEW_STOPS else 0)
            return True
        if "n" in body and (named == "n" or ABOUT_N.search(reason)):
            return self._ask_for_one(body)
        return False

    def is_refusal(self, body: Mapping[str, Any], answer: Reply, reason: str) -> bool:
        """Whether what a server calls its own fault is a field of the request that it does not take."""
        about_n = "n" in body and bool(ABOUT_N.search(reason))
        return answer.status == MISTAKE_AS_FAULT and (about_n or gap.is_refused(body, reason))

    def _ask_for_one(self, body: dict[str, Any]) -> bool:
        self.max_n = 1
        del body["n"]
        return True

    def keep_stops_here(self, body: dict[str, Any], url: str) -> None:
        """For a server that ends thoughts at stop strings, so that there is no answer."""
        if self.max_stops:
            LOG.warning("%s ends thoughts at stop strings: from now on they are applied here", url)
        self._send_fewer_stops(body, 0)

    def _send_fewer_stops(self, body: dict[str, Any], most: int) -> None:
        self.max_stops = min(self.max_stops, most)
        if stops := self.stops(body.pop("stop")):
            body["stop"] = stops
