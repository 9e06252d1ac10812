"""The data of the model kept its contracts."""

from __future__ import annotations

from components.records import GateResult
from components.register.gates.candidate import Candidate


def expectations(candidate: Candidate) -> GateResult:
    """Every expectation on the data of this model held, or was let pass by a person whose name is recorded."""
    checked = candidate.run.pairs.checked
    failed = [suite.suite for suite in checked if not suite.passed]
    reason = f"failed: {', '.join(failed)}" if failed else f"{sum(suite.evaluated for suite in checked)} expectations held"
    return GateResult(
        gate="expectations", passed=not failed, observed=len(checked) - len(failed), required=len(checked), reason=reason
    )
