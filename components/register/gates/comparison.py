"""Challenger against champion, picture by picture."""

from __future__ import annotations

from components.records import GateResult, Paired
from components.register.gates.candidate import Candidate

LEVEL = 0.05


def superior(candidate: Candidate) -> GateResult:
    """The primary metric gets better: its interval lies above 0, and Wilcoxon's test agrees.

    One metric on one benchmark, named before: nothing is corrected for many tries.
    """
    benchmark, metric = candidate.primary()
    if candidate.champion is None:
        reason = "there is no champion of this kind to compare with; the floors hold alone"
        return GateResult(gate="superior", passed=True, observed=0.0, required=0.0, reason=reason)
    found = candidate.of(benchmark, metric)
    if found is None or found.n < candidate.promote.images_minimum:
        return _unproven("superior", benchmark, metric, found, candidate)
    passed = found.interval[0] > 0 and found.p_value < LEVEL
    return GateResult(
        gate="superior",
        passed=passed,
        observed=found.mean,
        required=0.0,
        interval=found.interval,
        reason=f"{_said(found)}, p = {found.p_value:.2g}; the interval must lie above 0 and p below {LEVEL}",
    )


def not_inferior(candidate: Candidate) -> GateResult:
    """No metric with a margin falls below the champion's by more than that: the whole interval lies above minus the margin."""
    if candidate.champion is None:
        reason = "there is no champion of this kind to compare with; the floors hold alone"
        return GateResult(gate="not_inferior", passed=True, observed=0.0, required=0.0, reason=reason)
    margins = candidate.margins()
    held = [one for one in candidate.paired if one.metric in margins and (one.benchmark, one.metric) != candidate.primary()]
    few = next((one for one in held if one.n < candidate.promote.images_minimum), None)
    if not held or few is not None:
        return _unproven(
            "not_inferior", few.benchmark if few else "any benchmark", few.metric if few else "any metric", few, candidate
        )
    slack = {one: one.interval[0] + margins[one.metric] for one in held}
    worst = min(held, key=lambda one: slack[one] / max(margins[one.metric], 1e-12))
    broken = [one for one in held if slack[one] < 0]
    others = (
        f"; so are {', '.join(f'{one.benchmark} {one.metric}' for one in broken if one is not worst)}" if len(broken) > 1 else ""
    )
    return GateResult(
        gate="not_inferior",
        passed=not broken,
        observed=worst.mean,
        required=-margins[worst.metric],
        interval=worst.interval,
        reason=f"{_said(worst)} is the nearest to its margin of {margins[worst.metric]:g}{others}",
    )


def _said(one: Paired) -> str:
    low, high = one.interval
    counts = f"{one.wins} better, {one.ties} equal, {one.losses} worse"
    difference = f"{one.mean:+.4g} [{low:+.4g}, {high:+.4g}]"
    return f"{one.metric} on {one.benchmark} is {difference} against the champion over {one.n} pictures ({counts})"


def _unproven(gate: str, benchmark: str, metric: str, found: Paired | None, candidate: Candidate) -> GateResult:
    n = found.n if found else 0
    needed = candidate.promote.images_minimum
    shared = f"challenger and champion share {n} pictures with {metric} on {benchmark}"
    reason = f"{shared}, at least {needed} are needed: evaluate both on the same benchmark"
    return GateResult(gate=gate, passed=False, observed=n, required=needed, reason=reason)
