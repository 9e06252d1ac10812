"""Quality control while restoring: a result that inspection refuses is made again, otherwise; the best one is kept.

Which seed and fidelity come next depends on what was wrong and on the attempt before, not on chance, so a re-run of a
batch tries the same ones. What stays bad after the last attempt is kept too, and flagged for a person to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from components.errors import WeightsError
from components.imaging.codec import Image
from components.imaging.inspection import Findings, inspect
from components.imaging.inspection.seen import Image01
from components.records import Record
from components.restore.control_settings import QualitySettings

Picture = Image | Image01
"""(H, W, 3) RGB: uint8, or float32 in [0, 1]."""

SEED_STEP = 0x9E3779B97F4A7C15
"""Odd and far from any pattern (2**64 over the golden ratio): neighbouring seeds of a batch do not meet."""
INVENTED = frozenset({"consistency", "structure", "shift", "colour", "hue", "clipping", "contrast"})
"""Checks that a network fails by leaving its input: answered by more fidelity. The others are answered by another seed."""


class Attempt(Record):
    """What one restoration is asked for."""

    seed: int
    fidelity: float
    """0 leaves the network free, 1 gives the light restoration."""


class Tried(Record):
    """An attempt and what inspection says of it."""

    attempt: Attempt
    severity: float
    failed: tuple[str, ...]
    """Names of the checks, the worst first."""


@dataclass(frozen=True)
class Judged:
    """The best of one or more restorations of a picture."""

    picture: Picture
    findings: Findings
    attempt: Attempt
    """What the kept picture was made with."""
    tried: tuple[Tried, ...]
    """Every attempt, in order."""

    @property
    def flagged(self) -> bool:
        """Even the best is refused: a person should look."""
        return not self.findings.passed


def judged(
    restore_once: Callable[[int, float], Picture],
    lq: Picture,
    settings: QualitySettings,
    first: Attempt,
    *,
    lrp: Picture | None = None,
    made: Picture | None = None,
) -> Judged:
    """Restore a picture until inspection passes it or the retries are used up, and keep the best.

    Args:
        restore_once: makes the picture from (seed, fidelity); takes the LQ from the caller.
        lq: what came in.
        settings: retries and limits.
        first: the attempt that the batch's own settings ask for.
        lrp: what the light restorer makes of the LQ, where the caller has it.
        made: result of the first attempt, where the caller made it already, for example in a batch of one size.

    Raises:
        WeightsError: the first attempt gave no picture; a later one that gives none ends the attempts.
        ValueError: a result is not of the size of the LQ.
    """
    best: Judged | None = None
    tried: tuple[Tried, ...] = ()
    attempt = first
    for turn in range(settings.retries + 1):
        try:
            picture = made if turn == 0 and made is not None else restore_once(attempt.seed, attempt.fidelity)
        except WeightsError:
            if best is None:
                raise
            break
        findings = inspect(lq, lrp, picture, settings.inspect)
        tried += (Tried(attempt=attempt, severity=findings.severity, failed=tuple(one.check for one in findings.failed)),)
        if best is None or findings.severity < best.findings.severity:
            best = Judged(picture, findings, attempt, tried)
        if findings.passed:
            break
        attempt = retry_plan(findings, attempt)
    assert best is not None
    return replace(best, tried=tried)


def retry_plan(findings: Findings, attempt: Attempt) -> Attempt:
    """Say what to try after a refused result: always another seed, and half the way to full fidelity where it was invention.

    Args:
        findings: of the attempt.
        attempt: the one that was refused.
    """
    invented = any(one.check in INVENTED for one in findings.failed)
    fidelity = (1 + attempt.fidelity) / 2 if invented else attempt.fidelity
    return Attempt(seed=(attempt.seed + SEED_STEP) % 2**63, fidelity=fidelity)  # torch takes seeds below 2**63
