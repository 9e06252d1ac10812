"""The picture of a dataset: one HTML page that shows what curation kept, what it dropped, and why."""

from components.curate.picture.page import make_picture
from components.curate.picture.subject import Metric, PaperFunnel, Subject

__all__ = ["Metric", "PaperFunnel", "Subject", "make_picture"]
