"""Prints: 3 KB per picture that tell whether two pictures share content, also cropped, rescaled, mirrored or re-encoded."""

from components.imaging.prints.compare import Overlap, overlap
from components.imaging.prints.layout import CODE_BYTES, CODES_AT
from components.imaging.prints.take import OPERATOR, fingerprint

__all__ = ["CODES_AT", "CODE_BYTES", "OPERATOR", "Overlap", "fingerprint", "overlap"]
