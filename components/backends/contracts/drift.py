"""How far scores have moved from one dataset version to the next: the population stability index.

    PSI = sum over bins of (a_i - e_i) * ln(a_i / e_i)

where e_i and a_i are the shares of the version before and of this one in bin i; the bins are the deciles of the version
before. 0.1 is the usual limit for a small shift and 0.25 for a significant one (N. Siddiqi, Credit Risk Scorecards, Wiley
2006). A bin without rows would make it infinite, so half a row is added to every bin: a_i = (n_i + 1/2) / (n + bins / 2).
Where nothing moved, PSI is about (1/n + 1/m) times a chi-squared variable with bins - 1 degrees of freedom (B. Yurdakul,
Statistical Properties of Population Stability Index, Western Michigan University 2018): 0.018 on average for 1000 rows on
either side and below 0.1 in all but one of ten million; fewer rows are mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from components.backends.tables import Tables

BINS = 10
EDGE_ROWS = 1_000_000
"""Of more rows, deciles are taken from about as many, chosen by a hash of their id: any edges near the deciles will do,
since shares are counted over all rows, and DuckDB holds every value that it takes a quantile of in memory."""


def stability_index(before: Sequence[int], now: Sequence[int]) -> float:
    """Compare two histograms over the same bins; 0 means the same shares.

    Args:
        before: rows by bin in the version before.
        now: rows by bin in this version.
    """
    expected, actual = _shares(before), _shares(now)
    return math.fsum((a - e) * math.log(a / e) for e, a in zip(expected, actual, strict=True))


def measure(
    tables: Tables, relation: str, reference: str, scores: Sequence[str], *, rows_minimum: float
) -> dict[str, float | str]:
    """Give the index of each score between two relations of a session, or a sentence where there are too few rows.

    Args:
        tables: session with both relations.
        relation: rows of this version; every finite score counts, whatever the row's verdict.
        reference: rows of the version before.
        scores: columns of both.
        rows_minimum: with fewer scored rows on either side there is no index.
    """
    edges = _edges(tables, reference, scores)
    before, now = (_histograms(tables, each, edges) for each in (reference, relation))
    found: dict[str, float | str] = {}
    for score in scores:
        fewest = min(sum(before[score]), sum(now[score]))
        found[score] = stability_index(before[score], now[score])
        if fewest < rows_minimum:
            found[score] = f"only {fewest} rows of one version have {score}, {rows_minimum:.0f} are needed"
    return found


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + len(counts) / 2
    return [(count + 0.5) / total for count in counts]


def _edges(tables: Tables, relation: str, scores: Iterable[str]) -> dict[str, list[float]]:
    """Upper edges of all bins but the last; equal ones are one."""
    rows = int(tables.one(f'select count(*) as n from "{relation}"')["n"])
    levels = [level / BINS for level in range(1, BINS)]
    columns = ", ".join(f'quantile_disc("{name}", {levels}) filter (isfinite("{name}")) as "{name}"' for name in scores)
    found = tables.one(f'select {columns} from "{relation}" where hash(id) % {-(-rows // EDGE_ROWS) or 1} = 0')
    return {name: sorted(set(values or ())) for name, values in found.items()}


def _histograms(tables: Tables, relation: str, edges: dict[str, list[float]]) -> dict[str, list[int]]:
    """Rows by bin, from counts of the rows up to each edge."""
    columns, values = [], {}
    for name, upper in edges.items():
        columns.append(f'count(*) filter (isfinite("{name}")) as "{name}"')
        for nth, edge in enumerate(upper):
            values[f"{name}_{nth}"] = edge
            columns.append(f'count(*) filter (isfinite("{name}") and "{name}" <= ${name}_{nth}) as "{name}_{nth}"')
    found = tables.one(f'select {", ".join(columns)} from "{relation}"', values)
    sums = {name: [0, *(found[f"{name}_{nth}"] for nth in range(len(upper))), found[name]] for name, upper in edges.items()}
    return {name: [high - low for low, high in pairwise(below)] for name, below in sums.items()}
