"""The short text of a recipe, as pair manifests and shards hold it: values without their names, at most 400 bytes."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

from components.errors import ManifestError
from components.imaging.degrade.operators import Step
from components.records import Record

STEPS: tuple[type[Record], ...] = get_args(get_args(Step)[0])
"""Their order is part of the format: new ones go to the end."""
_KINDS = {model.model_fields["kind"].default: number for number, model in enumerate(STEPS)}
_NAMES = [tuple(name for name in model.model_fields if name != "kind") for model in STEPS]


def _words(model: type[Record], name: str) -> tuple[str, ...]:
    """The words that a field may hold; empty where it holds something else."""
    kind = model.model_fields[name].annotation
    return get_args(kind) if get_origin(kind) is Literal else ()


_WORDS = [tuple(_words(model, name) for name in names) for model, names in zip(STEPS, _NAMES, strict=True)]


def pack_steps(steps: tuple[Step, ...]) -> list[list[Any]]:
    """Give each step as its number and its values; a word is its place among the words."""
    return [_packed(step) for step in steps]


def unpack_steps(packed: list[list[Any]]) -> list[dict[str, Any]]:
    """Give the fields of each step, for a model to check.

    Raises:
        ManifestError: it is not a list of packed steps.
    """
    try:
        return [_unpacked(*step) for step in packed]
    except (IndexError, TypeError, ValueError) as error:
        raise ManifestError(f"Expected packed degradation steps, got {json.dumps(packed)[:200]}: {error}.") from error


def _packed(step: Record) -> list[Any]:
    number = _KINDS[step.kind]  # type: ignore[attr-defined]
    values: list[Any] = [number]
    for name, words in zip(_NAMES[number], _WORDS[number], strict=True):
        value = getattr(step, name)
        values.append(words.index(value) if words else int(value) if isinstance(value, bool) else value)
    return values


def _unpacked(number: int, *values: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {"kind": STEPS[number].model_fields["kind"].default}
    for name, words, value in zip(_NAMES[number], _WORDS[number], values, strict=True):
        fields[name] = words[value] if words else value
    return fields
