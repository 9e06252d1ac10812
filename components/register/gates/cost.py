"""What a picture costs, and whether it comes out the same twice."""

from __future__ import annotations

from components.records import GateResult
from components.register.gates.candidate import Candidate


def budget(candidate: Candidate) -> GateResult:
    """Restoring one evaluation picture takes no longer than the budget, where there is one."""
    seconds, most = candidate.report.seconds_per_picture, candidate.promote.budget_seconds
    if not most:
        return GateResult(gate="budget", passed=True, observed=seconds or 0.0, required=0.0, reason="there is no budget")
    if seconds is None:
        reason = "the report does not say how long a picture takes; evaluate again"
        return GateResult(gate="budget", passed=False, observed=0.0, required=most, reason=reason)
    reason = f"one picture takes {seconds:.2f} s, at most {most:g} s are allowed (promote.budget_seconds)"
    return GateResult(gate="budget", passed=seconds <= most, observed=seconds, required=most, reason=reason)


def repeatable(candidate: Candidate) -> GateResult:
    """The same picture from the same seed comes out the same, to the last bit."""
    same = candidate.report.repeatable
    if same is None:
        reason = "the report does not say whether a picture comes out the same twice; evaluate again"
    else:
        reason = f"a picture restored twice from one seed is {'the same' if same else 'not the same'}"
    return GateResult(gate="repeatable", passed=bool(same), observed=float(bool(same)), required=1.0, reason=reason)
