"""Which libraries made a recipe, and whether those that are here give the same bytes.

Versions alone cannot tell: most upgrades change no byte. So a stamp is a digest of what every degradation makes of one small
picture here, beside the versions; a recipe with another digest is refused, one with other versions alone is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

import cv2
import numpy as np

from components.errors import SettingsError
from components.imaging import codec
from components.imaging.degrade.blur import Blur
from components.imaging.degrade.carrier import Pixels, to_pixels
from components.imaging.degrade.filter import Sinc, Spread, sharpen
from components.imaging.degrade.jpeg import Jpeg
from components.imaging.degrade.noise import GreyNoise, Noise
from components.imaging.degrade.operators import DEGRADATIONS, Step
from components.imaging.degrade.resize import Fit, Rescale, Resize
from components.imaging.degrade.shot import Poisson

SIDE_PX = 48


@cache
def stamp() -> str:
    """Digest of the bytes that are made here, and the versions of numpy, OpenCV and libjpeg."""
    digest = hashlib.sha256()
    for pixels in _made():
        digest.update(np.ascontiguousarray(pixels).tobytes())
    return f"{digest.hexdigest()[:8]} {np.__version__} {cv2.__version__} {codec.libjpeg_version()}"


def require_same(made_with: str) -> None:
    """Refuse a stamp of libraries that give other bytes.

    Raises:
        SettingsError: names both.
    """
    if made_with and made_with != stamp() and made_with.split(maxsplit=1)[0] != stamp().split()[0]:
        raise SettingsError(
            f"Expected libraries that make the bytes of [{made_with}] (digest, numpy, OpenCV, libjpeg), here are [{stamp()}]: "
            "the pair would not be the one that was made. Install the lock that drew the recipes, or run synthesize again."
        )


def _made() -> Iterator[Pixels]:
    """What every degradation makes of one picture."""
    rows, columns = np.mgrid[:SIDE_PX, : SIDE_PX + 5]
    channels = [rows * 5 + columns, rows ^ columns, (rows * columns) // 7]
    pixels = to_pixels((np.stack(channels, axis=-1) % 256).astype(np.uint8))
    yield sharpen(pixels)
    for step in _steps():
        yield DEGRADATIONS[step.kind](pixels, step, (SIDE_PX, SIDE_PX + 5))


def _steps() -> Iterator[Step]:
    yield Blur(sigma_px=1.3)
    yield Spread(shape="iso", size=13, sigma_x_px=1.7, sigma_y_px=1.7, theta=0, beta=1)
    yield Spread(shape="generalised_aniso", size=11, sigma_x_px=2.1, sigma_y_px=0.7, theta=0.6, beta=0.8)
    yield Spread(shape="plateau_iso", size=9, sigma_x_px=1.1, sigma_y_px=1.1, theta=0, beta=1.4)
    yield Sinc(size=15, cutoff=1.4)
    yield Rescale(factor=0.613, mode="bilinear")
    yield Rescale(factor=1.27, mode="bicubic")
    yield Fit(part=0.31, mode="area")
    yield Resize(scale=0.45, mode="area")
    yield Noise(sigma_u8=11, seed=3)
    yield GreyNoise(sigma_u8=7, seed=4)
    yield Poisson(scale=1.2, grey=False, seed=5)
    yield Poisson(scale=0.7, grey=True, seed=6)
    yield Jpeg(quality=43)
