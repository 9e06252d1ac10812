"""Promotion and rollback: gates, aliases, one entry in the ledger; at most one decision about a model at a time.

A decision is written down as an intent, carried out in the registry, and then entered; all of it under one lock. Whoever
comes next finishes what a killed process left, so that registry and ledger agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from components.backends.state import Entry, Intent, Ledger, now
from components.backends.tracking import Tracker
from components.errors import GateError, RegistryError
from components.records import GateResult, ModelVersion

CHAMPION = "champion"
Judge = Callable[[ModelVersion | None], Sequence[GateResult]]
"""Holds a candidate against the present champion of its kind."""


def alias_of(kind: str) -> str:
    """Alias of the champion of a kind."""
    return f"{CHAMPION}-{kind}"


def promote(
    tracker: Tracker, ledger: Ledger, version: ModelVersion, judge: Judge, *, who: str, kind: str, serves: str
) -> ModelVersion:
    """Make a version the champion of its kind when no gate refuses; a refusal is in the ledger too.

    Args:
        tracker: the registry.
        ledger: where the decision is kept.
        version: the candidate.
        judge: called under the lock, so that nobody becomes champion meanwhile.
        who: person or flow that asked.
        kind: `faithful` or `perceptual`.
        serves: the kind whose champion is also `champion`.

    Raises:
        GateError: names the gates that refused.
    """
    with ledger.exclusive(version.name):
        finish(tracker, ledger, version.name)
        before = champion_of(tracker, ledger, version.name, kind)
        aliases = [alias_of(kind), *([CHAMPION] if kind == serves else [])]
        if before is not None and before.version == version.version and _points(tracker, version, aliases):
            return version.model_copy(update={"alias": aliases[-1], "gates": _gates_of(ledger, version)})
        if before is not None and before.version == version.version:  # it only begins to serve
            against, previous = None, _replaced_by(ledger, version.name, kind, version.version)
        else:
            against, previous = before, before.version if before else None
        gates = tuple(judge(against))
        fields = _fields(version, previous, who=who, kind=kind, gates=gates)
        refused = [gate for gate in gates if gate.refuses]
        if refused:
            reason = "; ".join(f"{gate.gate}: {gate.reason}" for gate in refused)
            ledger.append("refused", reason=reason, **fields)
            raise GateError(f"{version.name}/{version.version} stays @{version.alias}. {reason}.")
        let_pass = [f"{gate.gate} let pass by {gate.overridden}" for gate in gates if gate.overridden and not gate.passed]
        entry = {**fields, "action": "promoted", "at": now(), "reason": "; ".join(let_pass) or "every gate passed"}
        _carry_out(tracker, ledger, Intent(model=version.name, aliases=dict.fromkeys(aliases, version.version), fields=entry))
    return version.model_copy(update={"alias": aliases[-1], "gates": gates})


def rollback(tracker: Tracker, ledger: Ledger, name: str, *, who: str, reason: str, kind: str, serves: str) -> ModelVersion:
    """Give the alias back to the version that had it before the last promotion.

    Raises:
        RegistryError: there is no champion of that kind, or none before it.
    """
    with ledger.exclusive(name):
        finish(tracker, ledger, name)
        current = champion_of(tracker, ledger, name, kind)
        if current is None:
            raise RegistryError(
                f"There is no {name}@{alias_of(kind)} to roll back. Promote a version first: lucidflux promote VERSION."
            )
        target = _replaced_by(ledger, name, kind, current.version)
        if target is None:
            raise RegistryError(f"{name}/{current.version} is the first champion; there is none before it to go back to.")
        first = next((entry for entry in _moves(ledger, name, kind) if entry.version == target), None)
        entry: dict[str, Any] = {
            "action": "rolled back",
            "at": now(),
            "who": who,
            "model": name,
            "version": target,
            "previous_version": first.previous_version if first else None,
            "details": {"from": current.version, "kind": kind},
            "reason": reason,
        }
        aliases = [alias_of(kind), *([CHAMPION] if kind == serves else [])]
        _carry_out(tracker, ledger, Intent(model=name, aliases=dict.fromkeys(aliases, target), fields=entry))
        found = tracker.by_alias(name, aliases[-1])
    if found is None:
        raise RegistryError(f"The registry lost {name}@{aliases[-1]} right after it was set. Try again.")
    return found


def champion_of(tracker: Tracker, ledger: Ledger, name: str, kind: str) -> ModelVersion | None:
    """The champion of a kind; one that was promoted before there were kinds is known by the ledger alone."""
    found = tracker.by_alias(name, alias_of(kind))
    if found is None and (moves := _moves(ledger, name, kind)):
        return tracker.resolve(f"{name}/{moves[-1].version}")
    return found


def resume(tracker: Tracker, ledger: Ledger, name: str) -> Entry | None:
    """Finish what a killed process began, and give its entry; None when there is nothing to finish."""
    with ledger.exclusive(name):
        return finish(tracker, ledger, name)


def served(ledger: Ledger, name: str) -> dict[str, int]:
    """Which version each alias means by the ledger."""
    meant: dict[str, int] = {}
    for entry in ledger.entries():
        if entry.model == name and entry.action != "refused":
            aliases = entry.details.get("aliases") or [CHAMPION]  # entries of the time before had the one
            meant |= dict.fromkeys(aliases, entry.version)
    return meant


def finish(tracker: Tracker, ledger: Ledger, name: str) -> Entry | None:
    """As `resume`, for who holds the lock already."""
    intent = ledger.intended(name)
    return _settle(tracker, ledger, intent) if intent else None


def _carry_out(tracker: Tracker, ledger: Ledger, intent: Intent) -> None:
    intent.fields["details"]["aliases"] = list(intent.aliases)
    ledger.intend(intent)
    _settle(tracker, ledger, intent)


def _settle(tracker: Tracker, ledger: Ledger, intent: Intent) -> Entry:
    for alias, version in intent.aliases.items():
        tracker.set_alias(intent.model, alias, version)
    return ledger.commit(intent)


def _points(tracker: Tracker, version: ModelVersion, aliases: Sequence[str]) -> bool:
    found = (tracker.by_alias(version.name, alias) for alias in aliases)
    return all(one is not None and one.version == version.version for one in found)


def _fields(version: ModelVersion, previous: int | None, *, who: str, kind: str, gates: Sequence[GateResult]) -> dict[str, Any]:
    return {
        "who": who,
        "model": version.name,
        "version": version.version,
        "previous_version": previous,
        "details": {"kind": kind, "run_id": version.run_id, "gates": [gate.model_dump(mode="json") for gate in gates]},
    }


def _moves(ledger: Ledger, name: str, kind: str) -> list[Entry]:
    """Entries that moved the alias of a kind; those of the time before kinds were of the faithful one."""
    return [
        entry
        for entry in ledger.entries()
        if entry.model == name and entry.action != "refused" and entry.details.get("kind", "faithful") == kind
    ]


def _replaced_by(ledger: Ledger, name: str, kind: str, version: int) -> int | None:
    """Which champion a version took the place of when it was promoted last."""
    came = next((entry for entry in reversed(_moves(ledger, name, kind)) if entry.version == version), None)
    return came.previous_version if came else None


def _gates_of(ledger: Ledger, version: ModelVersion) -> tuple[GateResult, ...]:
    """What the gates said when a champion was promoted."""
    for entry in reversed(ledger.entries()):
        if (entry.model, entry.version, entry.action) == (version.name, version.version, "promoted"):
            return tuple(GateResult.model_validate(gate) for gate in entry.details.get("gates", ()))
    return ()
