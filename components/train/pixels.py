"""Pixels of pairs: read from the shards that hold them, or made from their recipes; without torch, so that workers are small.

Shapes: B batch, C = 3 channels, H and W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from components.backends.storage import Storage
from components.errors import DecodeError, StorageError, TrainError
from components.imaging import codec
from components.imaging.degrade import recipe
from components.imaging.degrade.recipe import Recipe

DECODED = 2
"""Decoded pictures that are kept while pairs of the same picture follow each other, as when features are kept; a photo of
20 megapixels has 60 MB."""

Pixels = npt.NDArray[np.uint8]
Synthesis = Literal["processor", "device"]
"""Where pixels are made; see TrainSettings."""
Made = tuple[Pixels, Pixels] | tuple[Pixels]
"""(hq_u8_BCHW, lq_u8_BCHW); or (crops_u8_BHWC,), from which a device makes both by `undone` recipes."""


class PixelSource(Protocol):
    """Gives the pixels of rows."""

    def make(self, numbers: Sequence[int]) -> Made:
        """Make the pixels of some rows, all of one size."""


class PairPixels:
    """Makes pixels here and now."""

    def __init__(self, store: Storage, rows: Sequence[Mapping[str, Any]], synthesis: Synthesis = "processor") -> None:
        """Remember where things are.

        Args:
            store: where the shards are.
            rows: of a pairs manifest, read when they are needed.
            synthesis: `device` stops at the crops, unless a shard holds the pixels of one of the pairs.
        """
        self.store, self.rows, self.synthesis = store, rows, synthesis
        self._decode = lru_cache(maxsize=DECODED)(self._read)

    def make(self, numbers: Sequence[int]) -> Made:
        """See PixelSource."""
        rows = [self.rows[number] for number in numbers]
        if self.synthesis == "device" and not any(row.get("pixels") for row in rows):
            return (np.stack([self._crop(row) for row in rows]),)
        hq, lq = zip(*(self._pair(row) for row in rows), strict=True)
        return _channels_first(hq), _channels_first(lq)

    def undone(self, numbers: Sequence[int]) -> list[Recipe]:
        """What is still to be done to the crops that `make` gave: they are cut and mirrored."""
        return [Recipe.unpack(self.rows[number]["recipe"]).model_copy(update={"flip": False}) for number in numbers]

    def _crop(self, row: Mapping[str, Any]) -> codec.Image:
        with _explained(row):
            return recipe.cut(self._picture(row), Recipe.unpack(row["recipe"]))

    def _pair(self, row: Mapping[str, Any]) -> tuple[codec.Image, codec.Image]:
        with _explained(row):
            if row.get("pixels"):
                hq, lq = ((row["pixels"], row[f"{side}_offset"], row[f"{side}_length"]) for side in ("hq", "lq"))
                return self._read(*hq), self._read(*lq)
            return recipe.apply(self._picture(row), Recipe.unpack(row["recipe"]))

    def _picture(self, row: Mapping[str, Any]) -> codec.Image:
        return self._decode(row["shard"], row["offset"], row["length"])

    def _read(self, shard: str, offset: int, length: int) -> codec.Image:
        return codec.decode(self.store.read_range(shard, offset, length), limits=codec.STORED).image_u8


@contextmanager
def _explained(row: Mapping[str, Any]) -> Iterator[None]:
    """Say which pair it is whose picture cannot be read."""
    try:
        yield
    except (DecodeError, StorageError) as error:
        shard = row.get("pixels") or row["shard"]
        raise TrainError(
            f"Cannot make the pair {row['id'][:12]} from {shard}: {error} Bring the shard back from a copy of the object store, "
            "or delete it and run the stage that made it; the same command goes on from the last checkpoint."
        ) from error


def _channels_first(images_u8_HWC: Sequence[codec.Image]) -> Pixels:
    return np.ascontiguousarray(np.stack(images_u8_HWC).transpose(0, 3, 1, 2))
