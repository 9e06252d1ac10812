"""What the drift watch finds."""

from __future__ import annotations

from typing import Literal

from components.records import Record


class Moved(Record):
    """One statistic of a batch against one reference."""

    statistic: str
    against: str
    n: int
    """Pictures of the batch's sample that have a value."""
    n_reference: int
    median: float | None
    median_reference: float | None
    psi: float | None = None
    ks: float | None = None
    """Largest distance of the two distribution functions."""
    p: float | None = None
    p_holm: float | None = None
    """Corrected over all lines of the report that were tested."""
    verdict: Literal["steady", "drifted", "unknown"]
    sentence: str


class DriftReport(Record):
    """A batch against everything it was compared with."""

    batch: str
    pictures: int
    psi_maximum: float
    level: float
    lines: tuple[Moved, ...]
    moved_ids: tuple[str, ...] = ()
    """Pictures of the sample that lie where drifted statistics have gained most: what a retraining should see."""
    page: str = ""
    """Key of the page; empty until it is written."""

    @property
    def drifted(self) -> tuple[Moved, ...]:
        """The lines that raise the alarm, the largest PSI first."""
        found = (line for line in self.lines if line.verdict == "drifted")
        return tuple(sorted(found, key=lambda line: -(line.psi or 0)))

    @property
    def summary(self) -> str:
        """One sentence for an event or a terminal."""
        if self.drifted:
            first = self.drifted[0]
            return f"{len(self.drifted)} of {len(self.lines)} comparisons drifted; the most: {first.sentence}"
        unknown = sum(line.verdict == "unknown" for line in self.lines)
        return f"None of {len(self.lines)} comparisons drifted, {unknown} could not be made."
