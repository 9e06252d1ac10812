"""Pairs made where the network is: the recipes of `degrade.recipe`, carried out by torch.

The pixels are those of the processor's path up to the rounding of float32 sums (see `make` for the tolerance); for the same
bytes everywhere take `recipe.apply`.
"""

from components.imaging.degrade.batch.make import HQ_MOST_U8, LQ_MEAN_U8, LQ_PSNR_DB, apply_batch

__all__ = ["HQ_MOST_U8", "LQ_MEAN_U8", "LQ_PSNR_DB", "apply_batch"]
