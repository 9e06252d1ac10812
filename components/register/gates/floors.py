"""What a first model must show too."""

from __future__ import annotations

from components.records import GateResult
from components.register.gates.candidate import Candidate


def restores(candidate: Candidate) -> GateResult:
    """The model improves its input where the damage is heavy: mean PSNR over LQ."""
    settings, report = candidate.promote, candidate.report
    name = settings.floor_benchmark
    gain = report.mean(name, "restored", "psnr") - report.mean(name, "lq", "psnr")
    needed = settings.floor_psnr_gain_db
    return GateResult(
        gate="restores",
        passed=gain >= needed,
        observed=gain,
        required=needed,
        reason=f"PSNR over LQ on {name} is {gain:+.2f} dB, at least {needed:+.2f} dB is needed",
    )
