"""Colours against the LQ's, in CIE L*a*b* of averages over 16 px."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from components.imaging.inspect_settings import InspectSettings
from components.imaging.inspection.findings import Finding, at_most
from components.imaging.inspection.seen import Plane, Seen

COLOURFUL_AB = 5.0
"""Root mean square chroma below which a picture has no hue to turn."""


def colour(seen: Seen, limits: InspectSettings) -> Finding:
    """Compare a* and b*: a cast, faded or stronger colours."""
    before, after = _chroma(seen.lq_cells), _chroma(seen.restored_cells)
    value = float(np.sqrt(np.square(np.abs(after - before)).mean()))
    sentence = f"Colours differ from the LQ's by {value:.1f} in a*b* (RMS of averages over 16 px)."
    return at_most("colour", value, limits.colour_ab, sentence)


def hue(seen: Seen, limits: InspectSettings) -> Finding:
    """Find the turn in the a*b* plane that explains the result best: the angle of sum(conj(before) after)."""
    before, after = _chroma(seen.lq_cells), _chroma(seen.restored_cells)
    strength = float(np.sqrt(np.square(np.abs(before)).mean()))
    if strength < COLOURFUL_AB:
        sentence = f"The LQ has hardly any colour ({strength:.1f} in a*b*): no hue to turn."
        return at_most("hue", 0.0, limits.hue_degrees, sentence)
    turn = float(np.degrees(np.angle(np.vdot(before, after))))
    return at_most("hue", abs(turn), limits.hue_degrees, f"All hues together turned by {turn:+.1f} degrees.")


def _chroma(cells: Plane) -> npt.NDArray[np.complex128]:
    """a* + i b* of averages, in float64 so that a sum has one value."""
    lab = cv2.cvtColor(cells / np.float32(255), cv2.COLOR_RGB2LAB).astype(np.float64)
    found: npt.NDArray[np.complex128] = lab[..., 1] + 1j * lab[..., 2]
    return found
