"""Image quality metrics: what each is, whether its weights are there, and the score of a picture.

Scores stay as pyiqa gives them; direction is metadata. Nothing is ever downloaded here: a metric whose weight files are
not in the weights folder is refused before pyiqa is asked. Describing a metric loads neither pyiqa nor torch.
"""

from components.imaging.iqa.identity import operator, versions
from components.imaging.iqa.interval import bootstrap
from components.imaging.iqa.loading import ensure_pkg_resources
from components.imaging.iqa.many import Item, score_files
from components.imaging.iqa.metrics import LICENCE, METRICS, MetricInfo, info, stands_in
from components.imaging.iqa.scoring import Scorer, score, stream
from components.imaging.iqa.weights import ready, usable

__all__ = [
    "LICENCE",
    "METRICS",
    "Item",
    "MetricInfo",
    "Scorer",
    "bootstrap",
    "ensure_pkg_resources",
    "info",
    "operator",
    "ready",
    "score",
    "score_files",
    "stands_in",
    "stream",
    "usable",
    "versions",
]
