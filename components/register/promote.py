"""Promotion and rollback: gates, alias `champion`, one entry in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.backends.state import Entry, Ledger
from components.backends.tracking import Tracker
from components.errors import GateError, RegistryError
from components.records import GateResult, ModelVersion

CHAMPION = "champion"


def promote(tracker: Tracker, ledger: Ledger, version: ModelVersion, gates: Sequence[GateResult], *, who: str) -> ModelVersion:
    """Make a version the champion when every gate passed; a refusal is in the ledger too.

    Args:
        tracker: the registry.
        ledger: where the decision is kept.
        version: the candidate.
        gates: what `gates.judge` said of it.
        who: person or flow that asked.

    Raises:
        GateError: names the gates that refused.
    """
    before = tracker.by_alias(version.name, CHAMPION)
    judged = version.model_copy(update={"alias": CHAMPION, "gates": tuple(gates)})
    recorded = _last_champion(ledger, version.name)
    moved = before is not None and before.version == version.version
    if moved and recorded == version.version:
        return judged
    details = {"gates": [gate.model_dump(mode="json") for gate in gates], "run_id": version.run_id}
    failed = [gate for gate in gates if not gate.passed]
    # a promotion that was killed has moved the alias and not written its entry
    previous = recorded if moved or before is None else before.version
    action: dict[str, Any] = {"model": version.name, "version": version.version, "previous_version": previous, "details": details}
    if failed:
        reason = "; ".join(f"{gate.gate}: {gate.reason}" for gate in failed)
        ledger.append("refused", who=who, reason=reason, **action)
        raise GateError(f"{version.name}/{version.version} stays @{version.alias}. {reason}.")
    tracker.set_alias(version.name, CHAMPION, version.version)
    ledger.append("promoted", who=who, reason="every gate passed", **action)
    return judged


def rollback(tracker: Tracker, ledger: Ledger, name: str, *, who: str, reason: str) -> ModelVersion:
    """Give the alias back to the version that had it before the last promotion.

    Raises:
        RegistryError: there is no champion, or none before it.
    """
    current = tracker.by_alias(name, CHAMPION)
    if current is None:
        raise RegistryError(f"There is no {name}@{CHAMPION} to roll back. Promote a version first: lucidflux promote VERSION.")
    came = next((entry for entry in reversed(_champions(ledger, name)) if entry.version == current.version), None)
    if came is None or came.previous_version is None:
        raise RegistryError(f"{name}/{current.version} is the first champion; there is none before it to go back to.")
    tracker.set_alias(name, CHAMPION, came.previous_version)
    ledger.append(
        "rolled back",
        who=who,
        model=name,
        version=came.previous_version,
        previous_version=_before(ledger, name, came.previous_version),
        details={"from": current.version},
        reason=reason,
    )
    found = tracker.by_alias(name, CHAMPION)
    if found is None:
        raise RegistryError(f"The registry lost {name}@{CHAMPION} right after it was set. Try again.")
    return found


def _champions(ledger: Ledger, name: str) -> list[Entry]:
    """Entries that moved the alias."""
    return [entry for entry in ledger.entries() if entry.model == name and entry.action != "refused"]


def _last_champion(ledger: Ledger, name: str) -> int | None:
    moved = _champions(ledger, name)
    return moved[-1].version if moved else None


def _before(ledger: Ledger, name: str, version: int) -> int | None:
    """Which champion a version had replaced when it was promoted."""
    first = next((entry for entry in _champions(ledger, name) if entry.version == version), None)
    return first.previous_version if first else None
