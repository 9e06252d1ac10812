"""The model was not trained on what it is judged by."""

from __future__ import annotations

from components.records import GateResult
from components.register.gates.candidate import Candidate


def leakage(candidate: Candidate) -> GateResult:
    """No evaluation picture is among those that were trained on; curation keeps copies and cuts of benchmarks out before."""
    seen = candidate.trained_on
    reason = f"{seen} evaluation pictures were trained on" if seen else "no evaluation picture was trained on"
    return GateResult(gate="leakage", passed=seen == 0, observed=seen, required=0, reason=reason)
