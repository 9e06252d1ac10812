"""What is known of a metric, apart from its value."""

from __future__ import annotations

from typing import Literal

from components.records import Record

LICENCE = "PolyForm-Noncommercial-1.0.0"
"""Of pyiqa since April 2026; every metric is its code."""


class MetricInfo(Record):
    """What a metric is, apart from its value."""

    variant: str
    """Tells it from metrics of the same name; pyiqa's own name where there are no weights."""
    higher_is_better: bool
    needs_reference: bool
    """Fidelity metrics compare with HQ; perceptual ones look at the picture alone."""
    channel: Literal["rgb", "luma"]
    """What it looks at; luma is the Y of YIQ."""
    about: str
    """Range, and what to beware of."""
    crop_border_px: int = 0
    """Pixels that are cut from each edge first."""
    minimum_side_px: int = 1
    """Smaller pictures score NaN."""
    multiple_px: int = 1
    """Last rows and columns are cut until both sides are multiples of it."""
    input_px: int | None = None
    """Side of the square that is scored, cut from the middle and scaled; None scores the picture as it is."""
    perfect: float | None = None
    """Score of a reference beside itself; where pyiqa does not give it, the metric cannot judge by that reference: NaN."""
    licence: str = LICENCE
    """Of the code; the weights have their own, in `components.backends.pins`."""
    weights: tuple[str, ...] = ()
    """Pinned sets that it needs."""
    redegraded: bool = False
    """Looks at the picture after the recipe of its LQ was applied to it again, and takes that LQ as the reference."""
    own_encoder: bool = False
    """Seen by the image encoder of the model that is judged (`Restorer.similarity`), not by pyiqa."""
    accelerated: bool = False
    """Runs on the accelerator where there is one; the others always run on the CPU."""

    @property
    def size_rule(self) -> str:
        """Which pixels are scored, in words."""
        if self.input_px is not None:
            return f"largest square of the middle, scaled to {self.input_px} px"
        cut = f", sides cut to multiples of {self.multiple_px} px" if self.multiple_px > 1 else ""
        least = f", NaN below {self.minimum_side_px} px" if self.minimum_side_px > 1 else ""
        return f"as it is{cut}{least}"
