"""Every error that the product raises on purpose, in one tree.

LucidfluxError                what was expected, what came, what to do next
|-- SettingsError             a profile, a key or a value is wrong
|   `-- UnknownName           a name that is not in its table; carries a suggestion
|-- SourceError               an input folder, bucket or list cannot be read or holds nothing
|-- DecodeError               one picture cannot be decoded; `reason` is its verdict
|-- StorageError              an object is missing, cut or cannot be written
|-- WorkerError               a worker process died over a job twice, or cannot start
|-- ManifestError             a manifest is missing, changed or of another kind
|-- ContractError             an expectation failed; names the rows
|-- WeightsError              a weight file is missing, changed or of another shape
|-- VersionError              a dataset version cannot be made or pulled
|-- TrainError                a training run cannot start, stopped or proved nothing
|-- RegistryError             a run, version or alias is missing or the registry is away
`-- GateError                 a gate refuses a promotion
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class LucidfluxError(Exception):
    """Root of the tree: a sentence for a person, never a traceback."""


class SettingsError(LucidfluxError):
    """A profile, a key or a value is wrong."""


class UnknownName(SettingsError):
    """A name that is not in its table."""


class SourceError(LucidfluxError):
    """An input cannot be read or holds no picture."""


class DecodeError(LucidfluxError):
    """One picture cannot be decoded."""

    def __init__(self, reason: str, detail: str = "") -> None:
        """Keep the verdict apart from the sentence.

        Args:
            reason: short snake_case word that goes into the manifest, e.g. `truncated`.
            detail: what was seen, for the log.
        """
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[DecodeError], tuple[str, str]]:
        """Survive the way back from a worker process."""
        return (type(self), (self.reason, self.detail))


class StorageError(LucidfluxError):
    """An object is missing, cut or cannot be written."""


class WorkerError(LucidfluxError):
    """A worker process died over a job twice, or cannot start."""


class ManifestError(LucidfluxError):
    """A manifest is missing, changed or of another kind."""


class ContractError(LucidfluxError):
    """An expectation failed."""


class WeightsError(LucidfluxError):
    """A weight file is missing, changed or of another shape."""


class VersionError(LucidfluxError):
    """A dataset version cannot be made or pulled."""


class TrainError(LucidfluxError):
    """A training run cannot start, stopped or proved nothing."""


class RegistryError(LucidfluxError):
    """A run, version or alias is missing, or the registry is away."""


class GateError(LucidfluxError):
    """A gate refuses a promotion."""


def suggest(name: str, known: list[str]) -> str:
    """Say which known name was probably meant."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"{hint} Known: {', '.join(sorted(known))}."


def lookup(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """Take an entry of an extension table.

    Raises:
        UnknownName: with a suggestion, when the table has no such name.
    """
    if name not in table:
        raise UnknownName(f"Unknown {kind} '{name}'.{suggest(name, list(table))}")
    return table[name]
