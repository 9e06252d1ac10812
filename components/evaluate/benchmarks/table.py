"""The benchmarks of the paper (section 4.2, tables 1 and 2), as their makers cut them."""

from __future__ import annotations

from collections.abc import Mapping

from components.errors import lookup
from components.records import Record

PATCHES = 2124
"""Random crops of DIV2K-Val and of LSDIR-Val (paper section 4.2)."""
SIDE_PX = 1024
"""Side at which every picture is evaluated (paper section 4.2)."""
DEGRADATIONS: Mapping[str, tuple[str, ...]] = {
    "bicubic": ("DIV2K_valid_LR_bicubic/X4", "DIV2K_valid_LR_bicubic_X4"),
    "unknown": ("DIV2K_valid_LR_unknown/X4", "DIV2K_valid_LR_unknown_X4"),
    "mild": ("DIV2K_valid_LR_mild",),
    "difficult": ("DIV2K_valid_LR_difficult",),
    "wild": ("DIV2K_valid_LR_wild",),
}
"""The five of DIV2K -> the folder that its archive unpacks to, below the user's copy; all shrink by 4."""
DIV2K_HQ = ("DIV2K_valid_HR",)


class BenchmarkInfo(Record):
    """What a benchmark is expected to be."""

    title: str
    lq: tuple[str, ...]
    """Folder of the LQ pictures; the first of these that is there."""
    hq: tuple[str, ...]
    """Folder of their HQ; empty where there is no truth."""
    count: int
    lq_px: int
    """Side of every LQ picture."""
    hq_px: int | None
    """Side of every HQ picture."""
    side_px: int
    """LQ is enlarged to this side, bicubically, before it is restored."""
    licence: str
    """Of the pictures; they are never part of this program."""
    source: str
    """Where the user gets it."""
    built: bool = False
    """Made by `lucidflux benchmark build` from the user's copy of the source."""


BENCHMARKS: Mapping[str, BenchmarkInfo] = {
    "div2k-val": BenchmarkInfo(
        title="DIV2K-Val",
        lq=("lq",),
        hq=("hq",),
        count=PATCHES,
        lq_px=SIDE_PX // 4,
        hq_px=SIDE_PX,
        side_px=SIDE_PX,
        licence="DIV2K: academic research only; the photos belong to their authors",
        source="DIV2K validation set: HR and the x4 tracks bicubic, unknown, mild, difficult, wild",
        built=True,
    ),
    "lsdir-val": BenchmarkInfo(
        title="LSDIR-Val",
        lq=("lq",),
        hq=("hq",),
        count=PATCHES,
        lq_px=SIDE_PX,
        hq_px=SIDE_PX,
        side_px=SIDE_PX,
        licence="LSDIR: academic research only; the photos belong to their authors",
        source="LSDIR validation set, HR only: LQ is made by the training degradation",
        built=True,
    ),
    "realsr": BenchmarkInfo(
        title="RealSR",
        lq=("lq", "test_LR"),
        hq=("hq", "test_HR"),
        count=100,
        lq_px=128,
        hq_px=512,
        side_px=SIDE_PX,
        licence="RealSR: academic research only",
        source="centre crops as distributed with StableSR and SeeSR (RealSRVal_crop128)",
    ),
    "drealsr": BenchmarkInfo(
        title="DRealSR",
        lq=("lq", "test_LR"),
        hq=("hq", "test_HR"),
        count=93,
        lq_px=128,
        hq_px=512,
        side_px=SIDE_PX,
        licence="DRealSR: academic research only",
        source="centre crops as distributed with StableSR and SeeSR (DrealSRVal_crop128)",
    ),
    "reallq250": BenchmarkInfo(
        title="RealLQ250",
        lq=("lq",),
        hq=(),
        count=250,
        lq_px=256,
        hq_px=None,
        side_px=SIDE_PX,
        licence="RealLQ250: rights of the single photos not stated; academic research",
        source="RealLQ250, as distributed with DreamClear",
    ),
}
"""Name -> what is expected; a folder under another name is a benchmark of one's own and may hold what it likes."""


def info(name: str) -> BenchmarkInfo:
    """Describe a benchmark.

    Raises:
        UnknownName: with a suggestion.
    """
    return lookup(BENCHMARKS, name, kind="benchmark")
