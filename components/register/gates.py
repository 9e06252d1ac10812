"""Gates: pass/fail rules on reports; a name -> rule table, every rule says what it saw and what it wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from components.errors import lookup
from components.records import EvalReport, Expectations, GateResult, TrainRun
from components.register.settings import PromoteSettings, RegisterSettings


@dataclass(frozen=True)
class Candidate:
    """Everything that a gate may look at."""

    run: TrainRun
    report: EvalReport
    champion: EvalReport | None
    """Report of the present champion on the same benchmarks; None when there is no champion."""
    register: RegisterSettings
    promote: PromoteSettings


def expectations(candidate: Candidate) -> GateResult:
    """Every expectation on the data of this model held."""
    pairs = candidate.run.pairs
    checked: tuple[Expectations, ...] = (
        pairs.curation.dataset.expectations,
        pairs.curation.before,
        pairs.curation.after,
        pairs.expectations,
    )
    failed = [suite.suite for suite in checked if not suite.passed]
    reason = f"failed: {', '.join(failed)}" if failed else f"{sum(suite.evaluated for suite in checked)} expectations held"
    return GateResult(
        gate="expectations", passed=not failed, observed=len(checked) - len(failed), required=len(checked), reason=reason
    )


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


def not_worse(candidate: Candidate) -> GateResult:
    """Mean PSNR does not fall below the champion's by more than the margin, on any shared benchmark."""
    margin = candidate.promote.margin_psnr_db
    if candidate.champion is None:
        reason = "there is no champion to compare with; the floor of `restores` holds alone"
        return GateResult(gate="not_worse", passed=True, observed=0.0, required=-margin, reason=reason)
    shared = [name for name in candidate.report.benchmarks if name in candidate.champion.benchmarks]
    differences = {
        name: candidate.report.mean(name, "restored", "psnr") - candidate.champion.mean(name, "restored", "psnr")
        for name in shared
    }
    if not differences:
        reason = "champion and challenger share no benchmark; evaluate both on one"
        return GateResult(gate="not_worse", passed=False, observed=0.0, required=-margin, reason=reason)
    worst = min(differences, key=lambda name: differences[name])
    return GateResult(
        gate="not_worse",
        passed=differences[worst] >= -margin,
        observed=differences[worst],
        required=-margin,
        reason=f"PSNR against the champion is {differences[worst]:+.2f} dB on {worst}, at least {-margin:+.2f} dB is needed",
    )


GATES: Mapping[str, Callable[[Candidate], GateResult]] = {
    "expectations": expectations,
    "licences": licences,
    "restores": restores,
    "not_worse": not_worse,
}


def judge(candidate: Candidate) -> tuple[GateResult, ...]:
    """Apply every gate that the settings name, in their order; none is skipped after a failure."""
    return tuple(lookup(GATES, name, kind="gate")(candidate) for name in candidate.promote.gates)
