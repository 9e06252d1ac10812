"""Selection: scores in, one verdict per row out; a pure function of rows and settings (paper section 3.4).

The order of the rules is the order of the paper's stages. A row that fails one rule is not judged by the
next, keeps its scores, and carries the first rule that rejected it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from components.curate.settings import CurateSettings

Row = dict[str, Any]

MINIMUM_SIDE_PX = 240
"""Side of one flatness patch; a smaller picture has none and is `too_small`."""


def filter_reason(row: Mapping[str, Any], settings: CurateSettings) -> str:
    """Name the first filter that a row fails; a score equal to its limit passes.

    Args:
        row: with `width_px`, `height_px`, `blur` and `flat_share`.
        settings: the limits.

    Returns:
        `too_small`, `blurred`, `noisy`, `flat`, or an empty string.
    """
    if min(row["width_px"], row["height_px"]) < MINIMUM_SIDE_PX:
        return "too_small"
    if row["blur"] < settings.blur_minimum:
        return "blurred"
    if row["blur"] > settings.blur_maximum:
        return "noisy"
    if row["flat_share"] > settings.flat_share_maximum:
        return "flat"
    return ""


def rank(rows: Iterable[Row], *, higher_is_better: bool) -> list[Row]:
    """Order rows best first; equal quality is ordered by id, so the cut is the same everywhere."""
    sign = -1 if higher_is_better else 1
    return sorted(rows, key=lambda row: (sign * row["quality"], row["id"]))


def near_duplicates(rows: Sequence[Row], *, distance: int) -> set[str]:
    """Give the ids of rows that look like an earlier one.

    Two hashes within 3 bits share at least one of their four 16-bit words, so only rows that share a word
    are compared.

    Args:
        rows: best first, with `id` and `phash` (16 hexadecimal digits).
        distance: largest Hamming distance that counts as the same picture, at most 3.
    """
    buckets: dict[tuple[int, str], list[int]] = defaultdict(list)
    found: set[str] = set()
    for row in rows:
        words = [(start, row["phash"][start : start + 4]) for start in range(0, 16, 4)]
        value = int(row["phash"], 16)
        if any((value ^ other).bit_count() <= distance for word in words for other in buckets[word]):
            found.add(row["id"])
            continue
        for word in words:
            buckets[word].append(value)
    return found


def split_scenes(scenes: Iterable[str], settings: CurateSettings) -> dict[str, str]:
    """Put whole scenes on the `train` or the `test` side.

    At least one scene goes to each side when there are two or more; one scene alone is trained on.
    """
    known = set(scenes)
    ordered = sorted(known, key=lambda scene: hashlib.sha256(f"{settings.split_seed}:{scene}".encode()).hexdigest())
    held_out = min(max(1, round(settings.held_out_share * len(ordered))), max(0, len(ordered) - 1))
    return {scene: "test" if index < held_out else "train" for index, scene in enumerate(ordered)}


def select(rows: Sequence[Row], settings: CurateSettings, *, higher_is_better: bool) -> list[Row]:
    """Give every row its verdict, reason and split; no row is added or lost.

    Args:
        rows: image rows with scores; rows that ingest rejected or failed pass through.
        settings: limits, share to keep, split.
        higher_is_better: direction of `quality`.
    """
    scenes = split_scenes((row["scene"] for row in rows if row["verdict"] == "kept"), settings)
    judged = [row | {"split": scenes.get(row["scene"], "")} for row in rows]
    reasons: dict[int, str] = {}
    for index, row in enumerate(judged):
        if row["verdict"] == "kept" and (reason := filter_reason(row, settings)):
            reasons[index] = reason
    reasons |= {
        index: "no_quality"
        for index, row in enumerate(judged)
        if row["verdict"] == "kept" and index not in reasons and row["quality"] is None
    }
    passed = [row for index, row in enumerate(judged) if row["verdict"] == "kept" and index not in reasons]
    ranked = rank(passed, higher_is_better=higher_is_better)
    again = near_duplicates(ranked, distance=settings.duplicate_distance)
    ranked = [row for row in ranked if row["id"] not in again]
    kept = {row["id"] for row in ranked[: kept_of_ranked(len(ranked), settings.keep_share)]}
    for index, row in enumerate(judged):
        if row["verdict"] == "kept" and index not in reasons and row["id"] not in kept:
            reasons[index] = "near_duplicate" if row["id"] in again else "quality_rank"
    return [row | ({"verdict": "rejected", "reason": reasons[i]} if i in reasons else {}) for i, row in enumerate(judged)]


def kept_of_ranked(ranked: int, share: float) -> int:
    """How many of the ranked rows are kept: the share, rounded up."""
    return math.ceil(round(share * ranked, 9))


def funnel(rows: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Count rows by `kept`, `rejected:<reason>` and `failed:<reason>`."""
    names = (row["verdict"] if row["verdict"] == "kept" else f"{row['verdict']}:{row['reason']}" for row in rows)
    return dict(sorted(Counter(names).items()))
