"""Broken rules that a person lets pass, by name and with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping

from components.backends.contracts.suites import Suite, known_rules
from components.errors import SettingsError, suggest

_FORM = re.compile(r"\s*(?P<who>[^:]*[^\W\d_]{2}[^:]*):\s*(?P<why>\S.*[^\W\d_]{2}.*)", re.DOTALL)
"""A name of at least two letters, a colon, a reason of at least two letters."""


def checked_overrides(suite: Suite, overrides: Mapping[str, str]) -> dict[str, str]:
    """Give the overrides as `NAME: reason`.

    Args:
        suite: what is about to be checked.
        overrides: by key of the rule; one of another suite with the same setting is not an error.

    Raises:
        SettingsError: there is no such rule, or a person or a reason is missing.
    """
    known = known_rules(suite.setting) if suite.setting else set()
    for key, text in overrides.items():
        if key not in known:
            raise SettingsError(f"There is no rule '{key}' to override.{suggest(key, sorted(known))}")
        if not _FORM.fullmatch(text):
            raise SettingsError(
                f"Expected who lets '{key}' pass and why, as \"NAME: reason\", got {text!r}. For example --set {how(suite, key)}."
            )
    return {key: " ".join(text.split()) for key, text in overrides.items()}


def how(suite: Suite, key: str) -> str:
    """Say what to set to let a rule pass."""
    return f'{suite.setting}.{key}="NAME: reason"'
