"""Settings of the drift watch, and what it finds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from components.imaging.measures import CHEAP
from components.records import Record, Settings


class DriftSettings(Settings):
    """When a batch counts as drifted."""

    psi_maximum: Annotated[float, Field(ge=0)] = 0.25
    """Largest population stability index that passes; 0.1 is small, 0.25 significant (Siddiqi 2006)."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Probability of any alarm for a batch from the same source."""
    pictures_minimum: Annotated[int, Field(ge=2)] = 50
    """With fewer pictures on either side a statistic is not judged."""
    batches: Annotated[int, Field(ge=0)] = 5
    """Last batches that are compared with, together."""
    sample: Annotated[int, Field(gt=0)] = 2000
    """Pictures that are kept of a batch; bounds memory and the size of what is stored."""
    named: Annotated[int, Field(ge=0)] = 500
    """Ids of pictures in a report."""
    statistics: tuple[str, ...] = CHEAP
    """Names in STATISTICS that are measured, of inputs and of outputs."""


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
