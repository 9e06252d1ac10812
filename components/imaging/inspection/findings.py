"""What inspection says of a picture."""

from __future__ import annotations

from components.records import Record

Place = tuple[int, int, int, int]
"""Top, left, height, width in px."""


class Finding(Record):
    """Outcome of one check."""

    check: str
    value: float
    limit: float
    passed: bool
    severity: float
    """How far from what is usual, in limits: up to 1 passes."""
    sentence: str
    where: Place | None = None
    """The tile that decided, where one did."""


class Findings(Record):
    """Outcome of every check on one picture."""

    found: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
    """Checks that this picture is too small for."""

    @property
    def passed(self) -> bool:
        """Nothing is wrong."""
        return all(one.passed for one in self.found)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """What is wrong, the worst first."""
        return tuple(sorted((one for one in self.found if not one.passed), key=lambda one: -one.severity))

    @property
    def severity(self) -> float:
        """The largest of all checks; above 1 where something is wrong."""
        return max((one.severity for one in self.found), default=0.0)


def at_most(check: str, value: float, limit: float, sentence: str, where: Place | None = None) -> Finding:
    """Make the finding of a value that must not be larger than its limit.

    Args:
        check: name in CHECKS.
        value: what was seen.
        limit: the largest value that passes.
        sentence: what the value is, with its numbers.
        where: the tile that decided.
    """
    severity = value / limit
    return Finding(
        check=check, value=value, limit=limit, passed=value <= limit, severity=severity, sentence=sentence, where=where
    )
