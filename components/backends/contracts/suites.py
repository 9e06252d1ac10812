"""Suites as files: Great Expectations' own JSON in infra/expectations, versioned with the program.

An expectation looks at one column of the table of statistics; the name of the column is the key of the rule. `description`
is the rule's sentence. `severity` is `critical` (stops the flow) or `warning`. `suite_parameters` holds the numbers that may
be left out when a suite is checked. In `meta`, `extends` names the file whose expectations come first, `kind` the kind of
rows, and `overrides` the setting under which a person may let a broken rule pass.

The bands among `suite_parameters`: `failed_share_*` (of all rows), `reason_share_*`, `leak_share_*` and `no_quality_share_*` (of
the rows that did not fail), `drift_*` (population stability index). Above `*_warning` there is a warning, above `*_maximum` a
failure, and with fewer rows than `share_rows_minimum` or `drift_rows_minimum` neither. They are wide: they find a filter or a
metric that is broken, not one that is strict. `quality_rank` has no band, since `kept_ranked` is exact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from components.backends.contracts.rules import STATISTICS, Drift, Rows, Share, Statistic
from components.errors import SettingsError, lookup, suggest

_FOLDER = Path(__file__).resolve().parents[3] / "infra" / "expectations"
SUITES: Mapping[str, Path] = {
    name: _FOLDER / f"{name}.json" for name in ("ingest", "curate_before", "curate_after", "pairs", "draws", "looks")
}


@dataclass(frozen=True)
class Suite:
    """One suite, read from its file and the files that it extends."""

    name: str
    kind: str
    """Kind of the rows, in SCHEMAS."""
    setting: str
    """Where overrides are set; empty where there are none."""
    defaults: Mapping[str, float]
    expectations: tuple[Mapping[str, Any], ...]

    @property
    def statistics(self) -> Mapping[str, Statistic]:
        """What the rules look at, by key, in the order of the file."""
        return {key: STATISTICS[self.kind][key] for key in self.says}

    @property
    def says(self) -> Mapping[str, str]:
        """The sentence of every rule, by key; a warning stands behind the rule that it belongs to."""
        said: dict[str, str] = {}
        for one in self.expectations:
            said.setdefault(one["kwargs"]["column"], one["description"])
        return said

    def numbers(self, given: Mapping[str, float]) -> dict[str, float]:
        """Put the numbers that the suite asks for together.

        Raises:
            SettingsError: one is missing, or one is given that the suite does not ask for.
        """
        asked = self._asked()
        if unknown := sorted(set(given) - asked):
            raise SettingsError(f"The suite '{self.name}' has no parameter '{unknown[0]}'.{suggest(unknown[0], sorted(asked))}")
        numbers = {**self.defaults, **given}
        if missing := sorted(asked - set(numbers)):
            raise SettingsError(f"Expected the parameters of the suite '{self.name}', missing: {', '.join(missing)}.")
        return numbers

    def _asked(self) -> set[str]:
        bounds = [value["$PARAMETER"] for one in self.expectations for value in one["kwargs"].values() if isinstance(value, dict)]
        asked = {name for bound in bounds for name in re.findall(r"\w+", bound)}
        for statistic in self.statistics.values():
            if isinstance(statistic, Rows):
                asked |= parameters(statistic.broken)
            asked |= {"share_rows_minimum"} if isinstance(statistic, Share) else set()
            asked |= {"drift_rows_minimum"} if isinstance(statistic, Drift) else set()
        return asked


def parameters(sql: str) -> set[str]:
    """Names after a dollar sign."""
    return set(re.findall(r"\$(\w+)", sql))


@cache
def load(name: str) -> Suite:
    """Read a suite.

    Raises:
        UnknownName: there is no such suite.
    """
    files = list(_files(lookup(SUITES, name, kind="suite")))
    meta = {key: value for file in files for key, value in file["meta"].items()}
    return Suite(
        name=name,
        kind=meta["kind"],
        setting=meta.get("overrides", ""),
        defaults={key: value for file in files for key, value in file.get("suite_parameters", {}).items()},
        expectations=tuple(one for file in files for one in file["expectations"]),
    )


def known_rules(setting: str) -> set[str]:
    """Keys of every rule whose overrides are in a setting; several suites may share one."""
    return {key for name in SUITES for key in load(name).says if load(name).setting == setting}


def _files(path: Path) -> Iterable[dict[str, Any]]:
    """Give a file after the one that it extends."""
    file = json.loads(path.read_text(encoding="utf-8"))
    if parent := file["meta"].get("extends"):
        yield from _files(path.with_name(f"{parent}.json"))
    yield file
