"""A restorer that gives pictures back as they came: it stands in for the network where everything else is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.imaging.sampler import SamplerSettings
from components.records import content_hash
from components.restore.model import Model


@dataclass(frozen=True)
class StandIn(Model):
    """Named like a model; restores nothing and loads nothing."""

    @property
    def identity(self) -> str:  # type: ignore[override]
        """Of no weights."""
        return content_hash("stand-in")

    def load(self, *, device: str = "auto", batch: int = 1) -> Any:
        """Give the restorer that does nothing."""
        del device
        return Idle(batch)


class Idle:
    """The part of a restorer that a batch uses."""

    identity = content_hash("stand-in")
    sampler = SamplerSettings(tile_px=1024, overlap_px=0)

    class pipeline:  # noqa: N801
        """What tells the multiple of tiles."""

        class frozen:  # noqa: N801
            """The network's sizes."""

            class config:  # noqa: N801
                """Of the latent alone."""

                class latent:  # noqa: N801
                    """Pixels of a token."""

                    token_px = 16

    def __init__(self, batch: int) -> None:
        self.batch = batch

    def restore_both_01(
        self, images_01: Sequence[npt.NDArray[np.float32]], seeds: Sequence[int]
    ) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Give the pictures back."""
        del seeds
        return [(image_01, image_01) for image_01 in images_01]
