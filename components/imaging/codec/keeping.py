"""From a file to what a network restores, and what the result keeps of the file: depth, alpha, grey, profile, EXIF.

`decode` gives 8-bit sRGB on white to everyone who looks at pictures; this is for whoever gives one back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from components.imaging.codec import colour, deep, exif, profile, xmp
from components.imaging.codec.deep import Levels
from components.imaging.codec.opening import Limits, opened
from components.imaging.codec.profile import Floats, Profile
from components.imaging.codec.reading import DEFAULT_LIMITS, load_whole

_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_FOREIGN_MODES = frozenset({"CMYK", "LAB"})
_ALPHA_MODES = frozenset({"LA", "PA", "La", "RGBa", "RGBA"})
_LONGEST_ICC_BYTES = 4 << 20
"""Longer profiles are not carried: they would fill a JPEG's segments."""


@dataclass(frozen=True)
class Source:
    """A picture to be restored, and what its result keeps."""

    image_01: Floats
    """(H, W, 3) RGB in sRGB, [0, 1], upright, the first frame; grey has three equal channels. Where the file is wholly
    transparent it holds the nearest visible colour."""
    format: str
    """By content, not by suffix: jpeg, png, webp, tiff, bmp, gif, avif or heif."""
    bits: int
    """16 for more than 8 bits a channel, else 8."""
    grey: bool
    """The file holds one channel of colour."""
    alpha_u16: Levels | None = field(default=None, repr=False)
    """(H, W), 65535 is opaque; None for a file without transparency."""
    icc: bytes = field(default=b"", repr=False)
    """Profile that the result carries; empty for none."""
    profile: Profile | None = field(default=None, repr=False)
    """How to go back from sRGB to what `icc` says; None where they are the same."""
    beyond_HWC: Floats | None = field(default=None, repr=False)
    """Light outside sRGB's gamut, which the network does not see; the result gets it back as it was. With a perfect
    restorer on 14 degraded Display P3 photos of 1.5 times the saturation, that is 0.1 to 14 dB (median 6) nearer to the
    undamaged photo than to leave it out."""
    exif: bytes = field(default=b"", repr=False)
    """EXIF block with its `Exif` header and orientation 1; empty for none."""
    xmp: bytes = field(default=b"", repr=False)
    """XMP packet with orientation 1; empty for none."""


def source(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Source:
    """Decode a whole file without losing what its format holds.

    Colours of a profile made of curves and a matrix are converted in floating point; what lies outside sRGB is clipped
    from the picture and kept beside it. Other profiles (CMYK, Lab, tables) are converted at 8 bits as `decode` does, and
    the result carries sRGB. Grey with a profile for colour, and a profile that cannot be read, count as sRGB.

    Args:
        data: content of the file.
        limits: what is accepted.

    Raises:
        DecodeError: with one of REASONS, the same as from `decode`.
    """
    with opened(data, limits) as image:
        kind = load_whole(image, data, limits)
        levels, icc, space, bits = _levels(image, data)
        levels = colour.upright_array(levels, image)
        block, packet = exif.carried(image), xmp.carried(image)
        grey, alpha_u16 = levels.shape[2] < 3, None
        if levels.shape[2] in {2, 4}:
            alpha_u16 = np.ascontiguousarray(levels[..., -1])
            levels = _filled(levels[..., :-1], alpha_u16)
        image_01, beyond_HWC = _to_srgb(levels, space)
    return Source(image_01, kind, bits, grey, alpha_u16, icc, space, beyond_HWC, block, packet)


def _levels(image: PIL.Image.Image, data: bytes) -> tuple[Levels, bytes, Profile | None, int]:
    """(H, W, 1 to 4) with 65535 for white, the profile that the result carries, how to go to it, and the depth."""
    found = image.info.get("icc_profile")
    icc = found if isinstance(found, bytes) else b""
    if image.mode in _FOREIGN_MODES:
        return _widened(np.asarray(colour.to_srgb(image))), colour.srgb_profile() if icc else b"", None, 8
    deeper = deep.read(image, data)
    levels, bits = (_shallow(image), 8) if deeper is None else (deeper, 16)
    if not icc:
        return levels, b"", None, bits
    grey = levels.shape[2] < 3
    if len(icc) <= _LONGEST_ICC_BYTES:
        if not grey and colour.means_srgb(icc):
            return levels, icc, None, bits
        if space := profile.read(icc, grey=grey):
            return levels, icc, space, bits
    if grey:
        return levels, b"", None, bits
    flat = image.convert("RGB")
    converted = np.asarray(colour.profiled(flat, icc))
    if not np.array_equal(converted, np.asarray(flat)):
        levels = np.concatenate([_widened(converted), levels[..., 3:]], axis=2)
    return levels, colour.srgb_profile(), None, bits


def _shallow(image: PIL.Image.Image) -> Levels:
    """8 bits a channel, (H, W, 1 to 4) with 65535 for white."""
    grey = image.mode in _GREY_MODES
    if "transparency" in image.info or image.mode in _ALPHA_MODES:
        return _widened(np.asarray(image.convert("RGBA"))[..., [0, 3] if grey else [0, 1, 2, 3]])
    values = np.asarray(colour.in_8_bits(image).convert("L" if grey else "RGB"))
    return _widened(values[..., None] if grey else values)


def _widened(values_u8: npt.NDArray[np.uint8]) -> Levels:
    return values_u8.astype(np.uint16) * np.uint16(257)


def _filled(levels: Levels, alpha_u16: Levels) -> Levels:
    """Continue the visible colours under what is wholly transparent: a hidden black or white would make an edge."""
    visible = alpha_u16 > 0
    if visible.all():
        return np.ascontiguousarray(levels)
    if not visible.any():
        return np.full_like(levels, deep.WHITE)
    _, nearest = cv2.distanceTransformWithLabels((~visible).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    owners = np.zeros(int(nearest.max()) + 1, np.intp)
    owners[nearest[visible]] = np.flatnonzero(visible)
    filled: Levels = levels.reshape(-1, levels.shape[2])[owners[nearest]]
    return filled


def _to_srgb(levels: Levels, space: Profile | None) -> tuple[Floats, Floats | None]:
    """Values in [0, 1], (H, W, 3), and the light that they cannot say."""
    if space is None:
        image_01 = levels.astype(np.float32) / np.float32(deep.WHITE)
        return (np.repeat(image_01, 3, axis=2) if levels.shape[2] == 1 else image_01), None
    light_HWC = space.to_srgb(levels)
    inside_HWC = light_HWC.clip(0, 1)
    beyond_HWC = light_HWC - inside_HWC
    return profile.encoded(inside_HWC), beyond_HWC if beyond_HWC.any() else None
