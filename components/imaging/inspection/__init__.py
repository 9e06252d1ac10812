"""Quality control of one restored picture, without the truth: a name -> check table, every check says what it saw.

A check returns None where the picture is too small for it. It knows nothing of models; the batch decides what a failure means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from components.errors import lookup
from components.imaging.codec import Image
from components.imaging.inspect_settings import InspectSettings
from components.imaging.inspection.colour import colour, hue
from components.imaging.inspection.consistency import consistency, shift, structure
from components.imaging.inspection.detail import sharpness
from components.imaging.inspection.findings import Finding, Findings, Place
from components.imaging.inspection.seen import Image01, Seen, as_u8
from components.imaging.inspection.tones import changed, clipping, contrast, finite

__all__ = ["CHECKS", "Finding", "Findings", "InspectSettings", "Place", "as_u8", "inspect"]

Check = Callable[[Seen, InspectSettings], Finding | None]

CHECKS: Mapping[str, Check] = {
    "finite": finite,
    "contrast": contrast,
    "consistency": consistency,
    "structure": structure,
    "shift": shift,
    "sharpness": sharpness,
    "colour": colour,
    "hue": hue,
    "clipping": clipping,
    "changed": changed,
}


def inspect(
    lq: Image | Image01,
    lrp: Image | Image01 | None,
    restored: Image | Image01,
    settings: InspectSettings | None = None,
) -> Findings:
    """Look for what a restoration gets wrong.

    Args:
        lq: (H, W, 3) RGB that came in, uint8 or float in [0, 1].
        lrp: what the light restorer made of it, where it is known: it has no noise, so that smaller faults are found.
        restored: the result; values that are not finite are counted and taken as 0.
        settings: limits and names of the checks.

    Raises:
        ValueError: the pictures have another layout or differ in size.
        UnknownName: the settings name a check that does not exist, with a suggestion.
    """
    limits = settings or InspectSettings()
    seen = Seen(lq, lrp, restored)
    outcomes = {name: lookup(CHECKS, name, kind="check")(seen, limits) for name in limits.checks}
    found = tuple(one for one in outcomes.values() if one is not None)
    return Findings(found=found, skipped=tuple(name for name, one in outcomes.items() if one is None))
