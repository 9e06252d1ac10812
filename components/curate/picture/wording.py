"""Words and numbers as the page writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from components.backends.pages.wording import number, tail

REASONS: Mapping[str, str] = {
    "duplicate_bytes": "same bytes as another row",
    "leak": "shares content with a benchmark",
    "too_small": "a side below 240 px",
    "blurred": "below the blur minimum",
    "noisy": "above the blur maximum",
    "flat": "too many flat patches",
    "no_quality": "the metric gives no value",
    "near_duplicate": "a better picture shows the same",
    "quality_rank": "below the cut of the rank",
}
"""Reasons in the order of their stages, in plain words."""


def why(row: Mapping[str, Any], metric: str) -> str:
    """Say in a few words what decided a row: the score that its reason is about.

    Args:
        row: an image row.
        metric: name of the metric behind `quality`.
    """
    related, size = row["related"] or "?", f"{row['width_px']} × {row['height_px']} px"
    words = {
        "blurred": f"blur {number(row['blur'])}",
        "noisy": f"blur {number(row['blur'])}",
        "flat": f"{100 * (row['flat_share'] or 0):.0f} % flat",
        "too_small": size,
        "duplicate_bytes": f"like {tail(related)}",
        "near_duplicate": f"like {tail(related)}",
        "leak": f"in {related}",
    }
    if row["reason"] in words:
        return words[row["reason"]]
    if row["quality"] is not None:
        return f"{metric} {number(row['quality'])}"
    return "trusted, no rank" if row["trusted"] and row["verdict"] == "kept" else size
