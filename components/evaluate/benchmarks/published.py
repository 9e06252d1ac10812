"""Figures of others, to stand beside ours: the paper's tables 1 to 3 and LucidNFT's."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from components.records import Record

MARK = "published, not re-measured here"


class Published(Record):
    """One row of somebody's table."""

    source: str
    benchmark: str
    method: str
    values: dict[str, float]
    """Metric -> mean."""


RUNTIMES: dict[str, tuple[float, float, float, float]] = {
    "SeeSR": (0.10, 22.38, 1.29, 1.6),
    "SUPIR": (5.9, 16.6, 2.6, 1.3),
    "DreamClear": (8.7, 28.9, 0.6, 2.2),
    "LucidFlux": (0.0, 23.6, 12.0, 1.6),
}
"""Paper table 3: seconds for the caption, seconds for restoring, 10^9 parameters of the backbone, of the adapter."""


def rows(benchmark: str) -> list[Published]:
    """Everything published about a benchmark, in the order of the tables."""
    return [row for row in _every() if row.benchmark == benchmark]


@cache
def _every() -> tuple[Published, ...]:
    tables = tomllib.loads(Path(__file__).with_name("published.toml").read_text())["table"]
    return tuple(
        Published(
            source=table["source"],
            benchmark=table["benchmark"],
            method=method,
            values=dict(zip(table["metrics"], values, strict=True)),
        )
        for table in tables
        for method, values in table["rows"].items()
    )
