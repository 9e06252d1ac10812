"""Somebody has read the licences."""

from __future__ import annotations

from components.records import GateResult
from components.register.gates.candidate import Candidate


def licences(candidate: Candidate) -> GateResult:
    """The operator has acknowledged every licence that is not permissive."""
    needed = candidate.register.licences_needed
    open_ones = [licence for licence in needed if licence not in candidate.register.licences_acknowledged]
    reason = (
        f"not acknowledged: {', '.join(open_ones)}; read them and add them to registry.licences_acknowledged"
        if open_ones
        else f"acknowledged: {', '.join(needed) or 'none needed'}"
    )
    observed = len(needed) - len(open_ones)
    return GateResult(gate="licences", passed=not open_ones, observed=observed, required=len(needed), reason=reason)
