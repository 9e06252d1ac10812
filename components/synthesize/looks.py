"""Some pairs, made and measured: what the degradation does to pictures, in PSNR and SSIM."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from components.backends import manifest
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.imaging import codec, iqa
from components.records import Manifest, Progress, content_hash
from components.synthesize.pairs import remade

OPERATOR = "looks-1"
HELD = 8
"""Pairs in memory at a time."""

Row = dict[str, Any]
Pair = tuple[Row, codec.Image, codec.Image]
"""Row, HQ, LQ."""


def sample(tables: Tables, pairs: Manifest, count: int) -> list[Row]:
    """Give the first pairs by id, which is a hash: neither picture nor recipe decides.

    Args:
        tables: session.
        pairs: manifest.
        count: how many.
    """
    tables.manifest("pairs", pairs)
    return tables.rows("select * from pairs order by id limit $n", {"n": count})


def make(store: Storage, rows: list[Row]) -> Iterator[Pair]:
    """Make pairs from their recipes, one after the other."""
    for row in rows:
        hq_u8, lq_u8 = remade(store, row)
        yield row, hq_u8, lq_u8


def measure(store: Storage, pairs: Manifest, rows: list[Row], progress: Progress) -> list[Row]:
    """Give PSNR (RGB, dB) and SSIM (luma) of LQ against HQ; what was measured before is found again.

    Args:
        store: holds the pictures, receives a part.
        pairs: manifest of the rows.
        rows: of the pairs.
        progress: called after each pair.
    """
    key = f"parts/looks/{content_hash(OPERATOR, pairs.sha256, [row['id'] for row in rows], iqa.versions())}.parquet"
    if not store.exists(key):
        measured: list[Row] = []
        made = make(store, rows)
        while held := list(itertools.islice(made, HELD)):
            lqs, hqs = [lq_u8 for _, _, lq_u8 in held], [hq_u8 for _, hq_u8, _ in held]
            scores = zip(*(iqa.score(name, lqs, hqs) for name in ("psnr", "ssim")), strict=True)
            for (row, _, _), (psnr, ssim) in zip(held, scores, strict=True):
                measured.append({"id": row["id"], "psnr": psnr, "ssim": None if math.isnan(ssim) else ssim})
                progress("measured", len(measured), len(rows))
        manifest.write_part(store, key, "looks", measured)
    return manifest.read_part(store, key)
