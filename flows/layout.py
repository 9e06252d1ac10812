"""Tables, settings, sizes and times as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows of cells out as a table."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def flat(settings: Mapping[str, object], group: str = "") -> dict[str, object]:
    """Give settings of groups as `group.name`, in place of their groups."""
    found: dict[str, object] = {}
    for name, value in settings.items():
        found |= flat(value, f"{group}{name}.") if isinstance(value, dict) and value else {f"{group}{name}": value}
    return found


def size(count: int) -> str:
    """Bytes in a unit that people read."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def when(seconds: float) -> str:
    """Local time of a record."""
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
