"""Gates: pass/fail rules on a candidate; a name -> rule table, every rule says what it saw and what it wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components.errors import SettingsError, lookup
from components.records import GateResult
from components.register.gates.candidate import Candidate
from components.register.gates.comparison import not_inferior, superior
from components.register.gates.cost import budget, repeatable
from components.register.gates.expectations import expectations
from components.register.gates.floors import restores
from components.register.gates.leakage import leakage
from components.register.gates.licences import licences

__all__ = ["GATES", "Candidate", "judge"]

GATES: Mapping[str, Callable[[Candidate], GateResult]] = {
    "expectations": expectations,
    "licences": licences,
    "leakage": leakage,
    "restores": restores,
    "not_inferior": not_inferior,
    "superior": superior,
    "repeatable": repeatable,
    "budget": budget,
}


def judge(candidate: Candidate, overrides: Mapping[str, str] | None = None) -> tuple[GateResult, ...]:
    """Apply every gate that the settings name, in their order; none is skipped after a failure.

    Args:
        candidate: what is judged.
        overrides: gate -> "NAME: reason" of the reviewer who lets its failure pass.

    Raises:
        UnknownName: there is no such gate.
        SettingsError: an override has no name or no reason.
    """
    allowed = {lookup_name(name): checked(name, text) for name, text in (overrides or {}).items()}
    results = [lookup(GATES, name, kind="gate")(candidate) for name in candidate.promote.gates]
    return tuple(
        one if one.passed or one.gate not in allowed else one.model_copy(update={"overridden": allowed[one.gate]})
        for one in results
    )


def lookup_name(name: str) -> str:
    """Refuse a name that is no gate."""
    lookup(GATES, name, kind="gate")
    return name


def checked(name: str, text: str) -> str:
    """Refuse an override that nobody signs or explains."""
    who, _, why = (part.strip() for part in text.partition(":"))
    if len(who) < 2 or len(why) < 2:
        raise SettingsError(
            f"Expected who lets the gate '{name}' pass and why, as \"NAME: reason\", got {text!r}. For example "
            f'--override {name}="NAME: reason".'
        )
    return f"{who}: {why}"
