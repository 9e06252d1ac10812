"""What the verbs `ledger`, `lineage` and `promote --resume` do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.backends.history import SHORT
from components.backends.state import Entry
from components.errors import RegistryError
from components.records import Record
from components.register.lineage import lineage
from components.register.promote import resume, served
from flows.workspace import Workspace


class Listing(Record):
    """Every decision."""

    entries: tuple[Entry, ...]

    def text(self) -> str:
        """A line for each."""
        return "\n".join(_line(entry) for entry in self.entries) or "Nothing was promoted, refused or rolled back yet."


class Finished(Record):
    """What was left to do."""

    entry: Entry | None

    def text(self) -> str:
        """Say it."""
        return f"Finished: {_line(self.entry)}" if self.entry else "No promotion was left unfinished."


class Proof(Record):
    """The chain holds, and the registry agrees with it."""

    entries: int
    champions: dict[str, int]
    """Alias -> version."""

    def text(self) -> str:
        """Say it."""
        champions = ", ".join(f"@{alias} is {version}" for alias, version in self.champions.items()) or "there is no champion"
        return f"The chain of {self.entries} entries holds; {champions}, in ledger and registry alike."


class Descent(Record):
    """What a model version was made from."""

    facts: dict[str, Any]

    def text(self) -> str:
        """A line for each step back, and a line for each count."""
        facts = self.facts
        judged = facts["evaluation"]
        scores, benchmarks = judged["scores_manifest"][:SHORT], ", ".join(judged.get("benchmarks", ())) or "not recorded"
        champion = f", compared with adapter {judged['champion'][:SHORT]}" if judged.get("champion") else ""
        return "\n".join(
            [
                f"Model {facts['model']} @{facts['alias'] or '-'}",
                f"  trained by run {facts['run_id']}, {facts['checkpoint']['step']} steps, of {facts['git_revision'][:SHORT]}",
                f"  on frozen parts {', '.join(f'{name} {digest[:SHORT]}' for name, digest in facts['base'].items())}",
                f"  judged by {judged['page']}, scores {scores}, benchmarks {benchmarks}{champion}",
                f"  on pairs {facts['pairs_manifest'][:SHORT]} of curation {facts['curated_manifest'][:SHORT]}",
                f"  of dataset {facts['dataset']}, DVC version {facts['dataset_version']}, images {facts['manifest'][:SHORT]}",
                *_counts("pictures by source and reason", facts.get("outcomes_by_source", {"all": facts.get("funnel", {})})),
                *_counts(f"{len(facts['training_images'])} pictures were trained on", _trained(facts)),
                "Their ids: lucidflux lineage MODEL --images",
            ]
        )


def _trained(facts: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {f"by {name}": facts.get(f"training_{name}s", {}) for name in ("source", "licence")}


def _counts(title: str, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    rows = ((name, ", ".join(f"{key or 'not stated'} {count}" for key, count in row.items())) for name, row in counts.items())
    return [f"  {title}:", *(f"    {name or 'not stated'}: {row or 'not recorded'}" for name, row in rows)]


def descent(workspace: Workspace, model: str) -> Descent:
    """Read what a version says of itself; the version alone is enough.

    Raises:
        RegistryError: there is no such version.
    """
    return Descent(facts=lineage(workspace.tracker, model))


def listing(workspace: Workspace) -> Listing:
    """Read all entries."""
    return Listing(entries=tuple(workspace.ledger.entries()))


def resume_decision(workspace: Workspace) -> Finished:
    """Finish what a killed promotion or rollback began."""
    return Finished(entry=resume(workspace.tracker, workspace.ledger, workspace.profile.registry.model))


def proof(workspace: Workspace) -> Proof:
    """Verify the chain, and compare its champions with the registry's.

    Raises:
        RegistryError: an entry was changed or removed, or an alias was moved by another way than promotion.
    """
    count, name = workspace.ledger.verify(), workspace.profile.registry.model
    expected = served(workspace.ledger, name)
    for alias, version in expected.items():
        found = workspace.tracker.by_alias(name, alias)
        if found is None or found.version != version:
            there = f"version {found.version}" if found else "nothing"
            raise RegistryError(
                f"The ledger says that {name}@{alias} is version {version}, the registry has {there}. If a promotion was "
                "interrupted: lucidflux promote --resume. If somebody moved the alias by hand, promote the version that is right."
            )
    return Proof(entries=count, champions=expected)


def _line(entry: Entry) -> str:
    kind = entry.details.get("kind", "")
    before = f" (before: {entry.previous_version})" if entry.previous_version else ""
    return f"{entry.at} {entry.who} {entry.action} {entry.model}/{entry.version}{before} {kind}: {entry.reason}"
