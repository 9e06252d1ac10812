"""ICC profiles made of curves and a matrix, computed in floating point in both directions (ICC.1:2022, 8.3.3, 8.4.3, F.2, F.3).

Nearly every profile in a photo is one: sRGB, Display P3, Adobe RGB, Rec. 2020, ProPhoto, ACEScg, grey with a gamma.
Pillow's colour management works at 8 bits; this does not round. Light is linear, 1 is white, and all white points meet
in the profile connection space (D50, relative colorimetric), so neutral stays neutral.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.imaging.codec import colour

Floats = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint16]

_LEVELS = 65_536
_MOST_TAGS = 200
_SMALLEST_DETERMINANT = 1e-6
"""A matrix of smaller determinant has no use backwards; sRGB's has 0.2."""
_TABLES = (b"A2B0", b"A2B1", b"B2A0", b"B2A1")
"""Tags that take precedence over curves and matrix; a profile with them is not read here."""
_PARAMETERS = (1, 3, 4, 5, 7)
"""Parameters of each type of parametric curve (table 68)."""


@dataclass(frozen=True)
class Profile:
    """The colours of one kind of file."""

    curves: tuple[npt.NDArray[np.float64], ...]
    """Light at each of the 65536 levels of each channel: one for grey, three for RGB."""
    to_xyz: npt.NDArray[np.float64]
    """(3, 3) RGB light to the connection space; unused for grey."""

    def to_srgb(self, levels: Levels) -> Floats:
        """Convert levels, (H, W, 1 or 3), to light in the primaries of sRGB, (H, W, 3), not clipped."""
        light = np.stack([self.curves[band].astype(np.float32)[levels[..., band]] for band in range(levels.shape[2])], -1)
        if len(self.curves) == 1:
            return np.repeat(light, 3, axis=2)
        return light @ (np.linalg.inv(_srgb().to_xyz) @ self.to_xyz).T.astype(np.float32)

    def from_srgb(self, light_HWC: Floats) -> Floats:
        """Undo `to_srgb`: light to the profile's own values in [0, 1], what it cannot say clipped.

        Args:
            light_HWC: (H, W, 3); (H, W, 1) for a grey profile.
        """
        if len(self.curves) == 3:
            light_HWC = light_HWC @ (np.linalg.inv(self.to_xyz) @ _srgb().to_xyz).T.astype(np.float32)
        values = np.linspace(0, 1, _LEVELS)
        bands = [np.interp(light_HWC[..., band], curve, values).astype(np.float32) for band, curve in enumerate(self.curves)]
        return np.stack(bands, -1)


def read(icc: bytes, *, grey: bool) -> Profile | None:
    """Read a profile that can be used in both directions.

    Args:
        icc: content of the profile.
        grey: whether the pixels that it stands beside are grey.

    Returns:
        The profile; None when it is broken, is for pixels of another kind, or works by tables.
    """
    names = (b"k",) if grey else (b"r", b"g", b"b")
    try:
        tags = _tags(icc)
        if icc[16:24] != (b"GRAYXYZ " if grey else b"RGB XYZ ") or any(tag in tags for tag in _TABLES):
            return None
        curves = tuple(_curve(tags[name + b"TRC"]) for name in names)
        to_xyz = np.eye(3) if grey else np.stack([_fixed(tags[name + b"XYZ"][8:20]) for name in names], axis=1)
        invertible = abs(np.linalg.det(to_xyz)) > _SMALLEST_DETERMINANT
    except (struct.error, KeyError, ValueError, IndexError, ArithmeticError):
        return None
    rising = all(curve[0] < curve[-1] and (np.diff(curve) >= 0).all() for curve in curves)
    return Profile(curves, to_xyz) if rising and invertible else None


def linear(image_01: Floats) -> Floats:
    """Light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(image_01 <= 0.04045, image_01 / 12.92, ((image_01 + 0.055) / 1.055) ** 2.4).astype(np.float32)


def encoded(light_01: Floats) -> Floats:
    """Undo `linear`."""
    return np.where(light_01 <= 0.0031308, light_01 * 12.92, 1.055 * light_01 ** (1 / 2.4) - 0.055).astype(np.float32)


@functools.cache
def _srgb() -> Profile:
    srgb = read(colour.srgb_profile(), grey=False)
    assert srgb is not None
    return srgb


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * index) for index in range(min(count, _MOST_TAGS))]
    return {name: icc[start : start + length] for name, start, length in entries}


def _fixed(content: bytes) -> npt.NDArray[np.float64]:
    """Numbers with 16 bits after the point."""
    return np.frombuffer(content, ">i4").astype(np.float64) / 65_536


def _curve(tag: bytes) -> npt.NDArray[np.float64]:
    """Light at each level."""
    values = np.linspace(0, 1, _LEVELS)
    if tag[:4] == b"para":
        (kind,) = struct.unpack_from(">H", tag, 8)
        with np.errstate(all="raise"):
            return _parametric(values, kind, _fixed(tag[12 : 12 + 4 * _PARAMETERS[kind]]))
    (count,) = struct.unpack_from(">I", tag, 8)
    if tag[:4] != b"curv" or len(tag) < 12 + 2 * count:
        raise ValueError("Expected a curve, got something else or half of one.")
    if count == 0:
        return values
    entries = np.frombuffer(tag, ">u2", count=count, offset=12).astype(np.float64)
    gamma_or_table: npt.NDArray[np.float64] = (
        values ** (entries[0] / 256) if count == 1 else np.interp(values, np.linspace(0, 1, count), entries / 65_535)
    )
    return gamma_or_table


def _parametric(values: npt.NDArray[np.float64], kind: int, given: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Types 0 to 4 (table 68), each a case of the last: (a x + b)^g + e from d on, c x + f below."""
    if len(given) != _PARAMETERS[kind]:
        raise ValueError(f"Expected {_PARAMETERS[kind]} parameters, got {len(given)}.")
    g, a, b, c, d, e, f = given.tolist() + [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][len(given) :]
    if kind in {1, 2}:
        c, d, e, f = 0.0, -b / a, c, c
    light: npt.NDArray[np.float64] = np.where(values >= d, np.maximum(a * values + b, 0) ** g + e, c * values + f)
    return light.clip(0, 1)
