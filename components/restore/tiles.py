"""Out of memory is answered by smaller tiles, not by a failure."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from components.errors import DecodeError
from components.imaging.sampler import SamplerSettings

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer

Image01 = npt.NDArray[np.float32]

_SAID = ("out of memory", "can't allocate memory", "cannot allocate memory")
"""What torch's allocators say where they raise a plain RuntimeError."""


def restore_within(
    restorer: Restorer, images_01: Sequence[Image01], seeds: Sequence[int], smallest_px: int
) -> tuple[list[tuple[Image01, Image01]], SamplerSettings]:
    """Restore pictures of one size, with tiles as large as memory allows.

    Args:
        restorer: the model, with the tiles that are wanted.
        images_01: (H, W, 3) in [0, 1] each.
        seeds: one per picture.
        smallest_px: no tile becomes smaller than this.

    Returns:
        (LRP, restored) of each, and the sampler whose tiles fitted.

    Raises:
        DecodeError: with reason `out_of_memory`, when the smallest tiles do not fit either.
    """
    longest_px = max(max(image.shape[:2]) for image in images_01)
    for sampler in smaller(restorer.sampler, longest_px, restorer.pipeline.frozen.config.latent.token_px, smallest_px):
        one = restorer if sampler == restorer.sampler else restorer.with_sampler(sampler)
        made = _tried(lambda one=one: one.restore_both_01(images_01, seeds=seeds))  # type: ignore[misc]
        if made is not None:
            return made, sampler
    raise DecodeError("out_of_memory", f"{longest_px} px in tiles of {smallest_px} px")


def smaller(sampler: SamplerSettings, longest_px: int, multiple_px: int, smallest_px: int) -> Iterator[SamplerSettings]:
    """The sampler, then with its tiles halved again and again.

    Args:
        sampler: as it is wanted.
        longest_px: longest side of the picture; a tile that is longer is as good as one of this size.
        multiple_px: sides of tiles are multiples of this.
        smallest_px: where halving ends.
    """
    yield sampler
    floor = max(multiple_px, smallest_px // multiple_px * multiple_px)
    whole = -(-longest_px // multiple_px) * multiple_px
    tile, codec_tile = min(sampler.tile_px, whole), min(sampler.codec_tile_px, whole)
    while max(tile, codec_tile) > floor:
        tile, codec_tile = (
            max(floor, side // 2 // multiple_px * multiple_px) if side > floor else side for side in (tile, codec_tile)
        )
        yield sampler.model_copy(
            update={
                "tile_px": tile,
                "overlap_px": min(sampler.overlap_px, tile // 4 // multiple_px * multiple_px),
                "codec_tile_px": codec_tile,
                "codec_overlap_px": min(sampler.codec_overlap_px, codec_tile // 4 // multiple_px * multiple_px),
            }
        )


def _tried(call: Callable[[], list[tuple[Image01, Image01]]]) -> list[tuple[Image01, Image01]] | None:
    """None where memory ran out; what the call held is free by then."""
    try:
        return call()
    except (torch.OutOfMemoryError, MemoryError):
        pass
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in _SAID):
            raise
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None
