"""Pictures that are no picture, blown or drowned areas, and results that are the input."""

from __future__ import annotations

import cv2
import numpy as np

from components.imaging.codec import Image
from components.imaging.inspect_settings import InspectSettings
from components.imaging.inspection.findings import Finding, at_most
from components.imaging.inspection.seen import Seen
from components.imaging.sharpness import score

NEAR_END_U8 = 8
"""An LQ whose average over 5 px is this near to an end of the scale may be at it in truth."""
REACHED_U8 = 2
"""Noise about an end of the scale is cut off there, which moves the average away from it; so an LQ may also be at the end in
truth where pixels this near to it are not rare."""
REACHED_SHARE = 0.06
"""Share of such pixels around one that is not rare."""
WINDOW_PX = 9
"""Side of what is around a pixel."""
PLAIN_U8 = 3.0
"""Deviation of averages over 16 px below which a picture has no contrast to raise."""
SAME_U8 = 0.02
"""Mean difference below which the result is the LQ itself, which no network gives back."""
NOISY_U8 = 1.0
"""Noise estimate from which an LQ needs something done."""
SOFT_BLUR = 150.0
"""Variance of the Laplacian below which a picture is blurred (paper section 3.4)."""


def finite(seen: Seen, limits: InspectSettings) -> Finding:  # noqa: ARG001 (all checks are called alike)
    """Refuse a result with NaN or infinity."""
    share = seen.not_finite
    sentence = f"{100 * share:.2g} % of the values are no numbers." if share else "Every value is a number."
    passed = share == 0
    return Finding(check="finite", value=share, limit=0.0, passed=passed, severity=0.0 if passed else 1000.0, sentence=sentence)


def contrast(seen: Seen, limits: InspectSettings) -> Finding:
    """Compare contrast over averages of 16 px; a flat, black or washed-out result has lost it, a harsh one has gained it.

    Lost: deviation against deviation. Gained: the slope of the straight line from the LQ's averages to the result's.
    """
    before, after = (cells.mean(axis=-1, dtype=np.float64).ravel() for cells in (seen.lq_cells, seen.restored_cells))
    spread = float(before.std()), float(after.std())
    sentence = f"Contrast is {spread[1]:.1f} levels, the LQ's is {spread[0]:.1f} (deviation of averages over 16 px)."
    lost = at_most("contrast", (spread[0] + 1) / (spread[1] + 1), limits.contrast_loss, sentence)
    if spread[0] < PLAIN_U8:
        return lost
    slope = max(0.0, float(((before - before.mean()) * (after - after.mean())).mean()) / spread[0] ** 2)
    sentence = f"Light and dark lie {slope:.2f} times as far apart as in the LQ (averages over 16 px)."
    gained = at_most("contrast", slope, limits.contrast_gain, sentence)
    return gained if gained.severity > max(1.0, lost.severity) else lost


def clipping(seen: Seen, limits: InspectSettings) -> Finding:
    """Count pixels with a channel at 0 or 255 where the LQ is not near that end."""
    inside = _within(cv2.blur(seen.lq_u8, (5, 5)), NEAR_END_U8)
    reached = cv2.blur(cv2.bitwise_not(_within(seen.lq_u8, REACHED_U8)), (WINDOW_PX, WINDOW_PX))
    inside = cv2.bitwise_and(inside, cv2.inRange(reached, 0, int(255 * REACHED_SHARE)))
    share = cv2.countNonZero(cv2.bitwise_and(inside, cv2.bitwise_not(_within(seen.restored_u8, 0)))) / inside.size
    sentence = f"{100 * share:.2g} % of the pixels are at an end of the scale where the LQ is not."
    return at_most("clipping", share, limits.clipped_share, sentence)


def _within(image_u8: Image, near: int) -> Image:
    """255 where all channels are further than `near` from both ends, else 0."""
    found: Image = cv2.inRange(image_u8, (near + 1,) * 3, (254 - near,) * 3)
    return found


def changed(seen: Seen, limits: InspectSettings) -> Finding:
    """Refuse a result that is the LQ itself, or nearly where the LQ is noisy or blurred or the light restorer changed it."""
    value = cv2.norm(seen.lq_u8, seen.restored_u8, cv2.NORM_L1) / seen.lq_u8.size
    limit = limits.unchanged_u8
    sentence = f"The result differs from the LQ by {value:.2g} levels on average."
    if value >= limit:
        return Finding(check="changed", value=value, limit=limit, passed=True, severity=0.5, sentence=sentence)
    need = "is no plain area" if value < SAME_U8 and np.ptp(seen.lq_luma) > 0 else _need(seen, limit)
    sentence += f" The LQ {need}: nothing was done." if need else " The LQ needed nothing."
    severity = 2 - value / limit if need else 0.5
    return Finding(check="changed", value=value, limit=limit, passed=not need, severity=severity, sentence=sentence)


def _need(seen: Seen, limit: float) -> str:
    """Say why the LQ needed restoring; empty where it did not."""
    if seen.noise_u8 >= NOISY_U8:
        return f"has noise of about {seen.noise_u8:.1f} levels"
    if seen.lrp_u8 is not None:
        moved = cv2.norm(seen.lq_u8, seen.lrp_u8, cv2.NORM_L1) / seen.lq_u8.size
        return f"was changed by {moved:.1f} levels by the light restorer" if moved >= 2 * limit else ""
    blur = score(seen.lq_luma)[0]
    plain = bool(np.ptp(seen.lq_luma) == 0)
    return f"is blurred (variance of the Laplacian {blur:.0f})" if blur < SOFT_BLUR and not plain else ""
