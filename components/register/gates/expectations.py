"""The data of the model kept its contracts."""

from __future__ import annotations

from components.records import Expectations, GateResult
from components.register.gates.candidate import Candidate


def expectations(candidate: Candidate) -> GateResult:
    """Every expectation on the data of this model held, or was let pass by a person whose name is recorded."""
    pairs = candidate.run.pairs
    suites = (
        pairs.curation.dataset.expectations,
        pairs.curation.before,
        pairs.curation.after,
        pairs.expectations,
        pairs.draws,
        pairs.looks,
    )
    checked: list[Expectations] = [suite for suite in suites if suite is not None]
    failed = [suite.suite for suite in checked if not suite.passed]
    reason = f"failed: {', '.join(failed)}" if failed else f"{sum(suite.evaluated for suite in checked)} expectations held"
    return GateResult(
        gate="expectations", passed=not failed, observed=len(checked) - len(failed), required=len(checked), reason=reason
    )
