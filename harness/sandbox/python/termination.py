"""How a candidate ends, and the signals that cut its tests short.

The three signals are BaseExceptions, not Exceptions: tests that catch errors must not catch them.
"""

from typing import NamedTuple

from harness.sandbox.python.control import FILES, THREADS, UNSEEN


class Termination(NamedTuple):
    """How a candidate ended, in ExecResult's words. `suspect`: out of wall time, perhaps only because the machine
    was busy, or somebody stopped it.
    """

    status: str
    detail: str
    suspect: bool = False


# It closed its channel; its exit status will say how it ended.
GONE = Termination("gone", "")

# What the zygote ended it for.
OVERRUNS = {
    FILES: Termination("output", "more files than the scratch space holds"),
    THREADS: Termination("error", "more threads than a program may start"),
    UNSEEN: Termination("output", "its files take too long to look at"),
}


class ResourceUsage(NamedTuple):
    cpu_s: float
    wall_s: float
    peak_mb: float


class CandidateEnded(BaseException):
    """The candidate ended before the tests did."""


class NeedsInProcess(BaseException):
    """A test passes the candidate a value that cannot be serialised."""


class SpeculationMissed(BaseException):
    """Requests were sent ahead and should not have been: the tests make other ones this time, or the output exceeds
    the limit and nobody can tell at which request.
    """
