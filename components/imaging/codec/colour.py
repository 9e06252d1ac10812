"""From what a file holds to 8-bit sRGB, upright."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageCms

from components.errors import DecodeError

_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright (EXIF 2.32, tag 0x0112)."""
_ARRAY_TURNS: Mapping[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    2: lambda rows: rows[:, ::-1],
    3: lambda rows: rows[::-1, ::-1],
    4: lambda rows: rows[::-1],
    5: lambda rows: rows.swapaxes(0, 1),
    6: lambda rows: np.rot90(rows, -1),
    7: lambda rows: rows[::-1, ::-1].swapaxes(0, 1),
    8: lambda rows: np.rot90(rows, 1),
}
"""The same for arrays."""
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_ALREADY = frozenset({"sRGB IEC61966-2.1", "sRGB", "sRGB built-in", "sRGB v4 ICC preference", "c2"})
"""Profile descriptions that mean sRGB; converting them costs as much as decoding and changes nothing."""
_SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
"""Pillow mode -> ICC colour space of a profile that fits."""


def upright(image: PIL.Image.Image, source: PIL.Image.Image) -> PIL.Image.Image:
    """Apply the orientation of the loaded source; a broken tag means upright."""
    turn = _TURNS.get(_orientation(source))
    return image if turn is None else image.transpose(turn)


def upright_array(rows: npt.NDArray[Any], source: PIL.Image.Image) -> npt.NDArray[Any]:
    """The same for an array, (H, W) or (H, W, C)."""
    turn = _ARRAY_TURNS.get(_orientation(source))
    return rows if turn is None else np.ascontiguousarray(turn(rows))


def on_its_side(source: PIL.Image.Image) -> bool:
    """Whether `upright` exchanges height and width."""
    return _orientation(source) in (5, 6, 7, 8)


def to_srgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Convert a loaded picture of any mode to RGB in sRGB, transparency on white."""
    image = in_8_bits(image)
    if "transparency" in image.info or image.mode in {"LA", "PA", "La", "RGBa"}:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        alpha = image.getchannel("A")
        white = PIL.Image.new("RGB", image.size, "white")
        white.paste(profiled(image.convert("RGB"), image.info.get("icc_profile")), mask=alpha)
        return white
    if image.mode in {"1", "I;16"}:
        image = image.convert("L")
    if image.mode == "LAB":
        return _through(image, PIL.ImageCms.createProfile("LAB"))
    if image.mode not in _SPACES:
        image = image.convert("RGB")
    return profiled(image, image.info.get("icc_profile"))


def srgb_profile() -> bytes:
    """Make an sRGB profile that is the same every time."""
    profile = bytearray(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = bytes.fromhex("07e8 0001 0001 0000 0000 0000")  # the date of its making
    return bytes(profile)


def means_srgb(icc: bytes) -> bool:
    """Say whether a profile is sRGB by another name."""
    try:
        opened = PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc)).profile
    except (PIL.ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return (opened.profile_description or "").strip("\x00 ") in _ALREADY and opened.xcolor_space.strip() == "RGB"


def in_8_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Scale 16-bit grey by its declared depth; refuse depths whose range nothing declares."""
    if image.mode in {"I", "F"}:
        raise DecodeError("unsupported_format", f"32-bit samples (mode {image.mode}) have no declared white")
    if not image.mode.startswith("I;16"):
        return image
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0] if hasattr(image, "tag_v2") else 16
    white = (1 << int(bits)) - 1
    levels = np.asarray(image).astype(np.uint32)
    scaled = PIL.Image.fromarray(np.minimum((levels * 255 + white // 2) // white, 255).astype(np.uint8))
    scaled.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    return scaled


def profiled(image: PIL.Image.Image, profile: object) -> PIL.Image.Image:
    """Convert by the embedded profile; without a usable one the numbers are taken as sRGB."""
    if isinstance(profile, bytes) and profile:
        try:
            opened = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
            named = (opened.profile.profile_description or "").strip("\x00 ")
            if named not in _ALREADY and opened.profile.xcolor_space.strip() == _SPACES[image.mode]:
                return _through(image, opened)
        except (PIL.ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return image.convert("RGB")
    return image.convert("RGB")


def _through(image: PIL.Image.Image, profile: object) -> PIL.Image.Image:
    """Convert to sRGB, relative colorimetric."""
    transform = PIL.ImageCms.buildTransform(
        profile,  # type: ignore[arg-type]
        PIL.ImageCms.createProfile("sRGB"),
        image.mode,
        "RGB",
        PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    converted = PIL.ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def _orientation(source: PIL.Image.Image) -> Any:
    try:
        return source.getexif().get(_ORIENTATION, 1)
    except Exception:  # EXIF of strangers breaks in every way
        return 1
