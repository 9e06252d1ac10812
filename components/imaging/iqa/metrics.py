"""The table of metrics: the ten of the paper, and every one of pyiqa that runs without weights."""

from __future__ import annotations

from collections.abc import Mapping

from components.errors import lookup
from components.imaging.iqa.description import LICENCE, MetricInfo
from components.imaging.iqa.fidelity import FIDELITY
from components.imaging.iqa.perceptual import PERCEPTUAL

__all__ = ["LICENCE", "METRICS", "PAPER", "MetricInfo", "info", "stands_in"]

PAPER = "clipiqa"
"""What the paper ranks by (section 3.4)."""

METRICS: Mapping[str, MetricInfo] = {**FIDELITY, **PERCEPTUAL}


def info(name: str) -> MetricInfo:
    """Describe a metric.

    Raises:
        UnknownName: with a suggestion.
    """
    return lookup(METRICS, name, kind="metric")


def stands_in(name: str) -> str:
    """Sentence for reports when another metric than the paper's ranks; empty for the paper's.

    Raises:
        UnknownName: with a suggestion.
    """
    if name == PAPER:
        return ""
    reason = "" if info(name).weights else ": it needs no weights"
    return f"{name.upper()} ranks here, not the paper's CLIP-IQA{reason}."
