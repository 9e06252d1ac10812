"""Which libraries made a recipe, and whether those that are here give the same bytes.

Versions alone cannot tell: most upgrades change no byte. So a stamp is a digest of what every degradation makes of one small
picture here, beside the versions; a recipe with another digest is refused, one with other versions alone is not. What only
some recipes use has a digest of its own in their stamps alone: another libwebp, or a Pillow without AVIF, touches no others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import cv2
import numpy as np

from components.errors import SettingsError
from components.imaging import codec
from components.imaging.degrade.anchor_jpeg import AnchorJpeg
from components.imaging.degrade.blur import Blur
from components.imaging.degrade.carrier import Pixels, to_pixels
from components.imaging.degrade.chroma import Chroma
from components.imaging.degrade.container import Avif, Webp
from components.imaging.degrade.fading import Fading
from components.imaging.degrade.filter import Sinc, Spread, sharpen
from components.imaging.degrade.halo import Halo
from components.imaging.degrade.jpeg import Jpeg
from components.imaging.degrade.lens import Lens
from components.imaging.degrade.motion import Motion
from components.imaging.degrade.noise import GreyNoise, Noise
from components.imaging.degrade.operators import DEGRADATIONS, Step
from components.imaging.degrade.resize import Fit, Rescale, Resize
from components.imaging.degrade.scratches import Scratches
from components.imaging.degrade.sensor import Sensor
from components.imaging.degrade.shot import Poisson

SIDE_PX = 48
EXTRAS: Mapping[str, tuple[Step, ...]] = {
    "motion": (Motion(length_px=9.3, theta=0.7),),
    "lens": (Lens(radius_px=3.3),),
    "sensor": (Sensor(shot=0.01, read=2e-4, seed=7),),
    "chroma": (Chroma(layout="4:2:0", upsampling="linear"), Chroma(layout="4:1:0", upsampling="repeated")),
    "webp": (Webp(quality=40), Webp(quality=80)),
    "avif": (Avif(quality=40), Avif(quality=80)),
    "fading": (Fading(cyan_percent=61, magenta_percent=73, yellow_percent=87, stain_hundredths=17),),
    "scratches": (Scratches(lines=6, specks=9, opacity_percent=90, width_px=1.3, seed=8),),
    "halo": (Halo(amount_percent=230, sigma_px=1.1),),
    "anchor_jpeg": (AnchorJpeg(quality=43.7), AnchorJpeg(quality=81.2)),
}
"""Steps that no preset draws, by kind, and what of each is carried out for the digest."""
_EXTRA_KINDS = frozenset(EXTRAS)


def stamp(kinds: Iterable[str] = ()) -> str:
    """Digest of the bytes that are made here, and the versions of numpy, OpenCV and libjpeg.

    Args:
        kinds: of a recipe's steps; what is not among the presets' adds a second digest, and the encoder's version.

    Raises:
        SettingsError: a step cannot be carried out here.
    """
    return _stamp(_EXTRA_KINDS.intersection(kinds))


@cache
def _stamp(extras: frozenset[str]) -> str:
    digest = _core()
    if extras:
        digest += "+" + _short(_digest(kind) for kind in sorted(extras))
    encoders = [name for kind, name in (("webp", codec.webp_version()), ("avif", codec.avif_version())) if kind in extras]
    return " ".join([digest, np.__version__, cv2.__version__, codec.libjpeg_version(), *encoders])


def require_same(made_with: str, kinds: Iterable[str] = ()) -> None:
    """Refuse a stamp of libraries that give other bytes.

    Args:
        made_with: stamp of a recipe; an empty one passes.
        kinds: of its steps.

    Raises:
        SettingsError: names both, or a step cannot be carried out here.
    """
    if not made_with:
        return
    here = stamp(kinds)
    if made_with != here and made_with.split(maxsplit=1)[0] != here.split()[0]:
        raise SettingsError(
            f"Expected libraries that make the bytes of [{made_with}] (digest, numpy, OpenCV, libjpeg), here are [{here}]: "
            "the pair would not be the one that was made. Install the lock that drew the recipes, or run synthesize again."
        )


@cache
def _core() -> str:
    return _short(np.ascontiguousarray(pixels).tobytes() for pixels in _made())


@cache
def _digest(kind: str) -> bytes:
    """What a degradation that no preset draws makes of the picture."""
    return b"".join(np.ascontiguousarray(_carried_out(_picture(), step)).tobytes() for step in EXTRAS[kind])


def _short(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:8]


def _picture() -> Pixels:
    rows, columns = np.mgrid[:SIDE_PX, : SIDE_PX + 5]
    channels = [rows * 5 + columns, rows ^ columns, (rows * columns) // 7]
    return to_pixels((np.stack(channels, axis=-1) % 256).astype(np.uint8))


def _carried_out(pixels: Pixels, step: Step) -> Pixels:
    return DEGRADATIONS[step.kind](pixels, step, (SIDE_PX, SIDE_PX + 5))


def _made() -> Iterator[Pixels]:
    """What every degradation of the presets makes of the picture."""
    yield sharpen(_picture())
    for step in _steps():
        yield _carried_out(_picture(), step)


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
