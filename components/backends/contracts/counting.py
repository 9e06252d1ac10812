"""Statistics of a relation, counted by DuckDB in a few passes, and the names of rows that break a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.backends.contracts import drift
from components.backends.contracts.rules import Drift, Measure, Rows, Sets, Share, Statistic
from components.backends.contracts.suites import parameters
from components.backends.tables import Tables

ROWS_NAMED = 5
"""Rows that a sentence about a broken rule names."""


@dataclass
class Counted:
    """What was found in a relation."""

    rows: int = 0
    values: dict[str, float] = field(default_factory=dict)
    """By key of the rule."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why a rule has no value, by its key."""


@dataclass(frozen=True)
class Counter:
    """Looks at one relation of a session."""

    tables: Tables
    relation: str
    numbers: Mapping[str, float]
    """Parameters of the suite."""
    reference: str | None = None
    """Relation with the version before."""

    def count(self, statistics: Mapping[str, Statistic]) -> Counted:
        """Find the value of every statistic that can be found."""
        counted = Counted()
        self._at_once(statistics, counted)
        self._sets({key: one for key, one in statistics.items() if isinstance(one, Sets)}, counted)
        self._drift({key: one.score for key, one in statistics.items() if isinstance(one, Drift)}, counted)
        return counted

    def named(self, statistic: Statistic) -> list[str]:
        """Name some of the rows that a statistic counts, by the beginning of their id and their origin."""
        if isinstance(statistic, Sets):
            where = f"{statistic.among} and ({statistic.by}) in (select ({statistic.by}) from ({self._clashing(statistic)}))"
        elif isinstance(statistic, Rows | Share):
            where = statistic.broken if isinstance(statistic, Rows) else statistic.of
        else:
            return []
        origin = " || ' (' || coalesce(origin, '') || ')'" if "origin" in self.columns() else ""
        order = "origin, id" if origin else "id"
        name = f"coalesce(nullif(left(id, 12), ''), 'no id'){origin}"
        sql = f'select {name} as name from "{self.relation}" where {where} order by {order} limit {ROWS_NAMED}'
        return [str(row["name"]) for row in self.tables.rows(sql, self._values(sql))]

    def columns(self) -> set[str]:
        """Names of the relation's columns."""
        return {str(row["column_name"]) for row in self.tables.rows(f'describe "{self.relation}"')}

    def _at_once(self, statistics: Mapping[str, Statistic], counted: Counted) -> None:
        """Find what one pass over the rows can find."""
        columns = {"row count": "count(*)"}
        for key, statistic in statistics.items():
            if isinstance(statistic, Rows) and self._there(statistic, key, counted):
                columns[key] = f"count(*) filter ({statistic.broken})"
            elif isinstance(statistic, Measure):
                columns[key] = statistic.value
            elif isinstance(statistic, Share):
                columns[key] = f"count(*) filter ({statistic.among} and {statistic.of})"
                columns[f"{key} among"] = f"count(*) filter ({statistic.among})"
        asked = ", ".join(f'{value} as "{name}"' for name, value in columns.items())
        sql = f'select {asked} from "{self.relation}"'
        found = self.tables.one(sql, self._values(sql))
        counted.rows = found["row count"]
        counted.values |= {key: found[key] for key in statistics if key in found}
        for key in (key for key, statistic in statistics.items() if isinstance(statistic, Share)):
            self._divide(key, int(found[f"{key} among"]), counted)

    def _there(self, statistic: Rows, key: str, counted: Counted) -> bool:
        """Say whether another relation that a rule reads is in the session."""
        sql = "select count(*) as n from information_schema.tables where table_name = ?"
        if not statistic.needs or self.tables.one(sql, [statistic.needs])["n"]:
            return True
        counted.skipped[key] = f"there is no table '{statistic.needs}'"
        return False

    def _divide(self, key: str, among: int, counted: Counted) -> None:
        minimum = self.numbers["share_rows_minimum"]
        if among < max(1, minimum):
            del counted.values[key]
            counted.skipped[key] = f"{among} rows say little about a share, {minimum:.0f} are needed"
        else:
            counted.values[key] /= among

    def _drift(self, scores: Mapping[str, str], counted: Counted) -> None:
        if self.reference is None:
            counted.skipped |= dict.fromkeys(scores, "there is no version before")
        elif scores:
            minimum = self.numbers["drift_rows_minimum"]
            found = drift.measure(self.tables, self.relation, self.reference, list(scores.values()), rows_minimum=minimum)
            for key, score in scores.items():
                value = found[score]
                if isinstance(value, str):
                    counted.skipped[key] = value
                else:
                    counted.values[key] = value

    def _sets(self, sets: Mapping[str, Sets], counted: Counted) -> None:
        """Count the rows of sets that clash; hashes, taken in one pass for all rules, tell in little memory whether one can."""
        if not sets:
            return
        columns = (
            f'case when {one.among} then hash({one.by}) end as "{key}", {one.value} as "{key} value"' for key, one in sets.items()
        )
        self.tables.run(f'create or replace temp table contract_sets as select {", ".join(columns)} from "{self.relation}"')
        for key, one in sets.items():
            clash = one.clash(f'"{key} value"')
            suspects = f'select 1 from contract_sets where "{key}" is not null group by "{key}" having {clash} limit 1'
            exact = f"select coalesce(sum(n), 0)::bigint as n from ({self._clashing(one)})"
            counted.values[key] = self.tables.one(exact)["n"] if self.tables.rows(suspects) else 0
        self.tables.run("drop table contract_sets")

    def _clashing(self, statistic: Sets) -> str:
        """Query for the sets that clash."""
        by, clash = statistic.by, statistic.clash(statistic.value)
        return f'select {by}, count(*) as n from "{self.relation}" where {statistic.among} group by {by} having {clash}'

    def _values(self, sql: str) -> dict[str, float]:
        return {name: self.numbers[name] for name in parameters(sql)}
