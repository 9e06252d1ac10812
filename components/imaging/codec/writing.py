"""From pixels to the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL
import PIL.features
import PIL.Image

from components.errors import SettingsError, lookup
from components.imaging.codec import colour, deep
from components.imaging.codec.keeping import Source
from components.imaging.codec.profile import Floats, linear
from components.imaging.codec.reading import Image

ENCODERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    "png": ("PNG", {"compress_level": 6}),
    "webp": ("WEBP", {"quality": 95, "method": 4}),
}
"""Formats of results, at settings where the eye finds no loss."""

_JPEG_SEGMENT_BYTES = 65_533
_BT601 = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of the luma of grey results, as `luma` has them."""
_SIDE_PX = {"jpeg": 65_500, "png": 2**31 - 1, "webp": 16_383}


def encode_png(image_u8: Image) -> bytes:
    """Encode without loss; equal pixels give equal bytes."""
    return _saved(image_u8, "PNG", {"compress_level": 6})


def encode_jpeg(image_u8: Image, quality: int) -> bytes:
    """Encode with libjpeg, chroma 4:2:0.

    Args:
        image_u8: (H, W, 3) or (H, W) uint8.
        quality: 1..100.
    """
    return _saved(image_u8, "JPEG", {"quality": quality, "subsampling": "4:2:0"})


def encode_webp(image_u8: Image, quality: int) -> bytes:
    """Encode with libwebp, lossy, chroma 4:2:0.

    Args:
        image_u8: (H, W, 3) uint8.
        quality: 0..100.

    Raises:
        SettingsError: a side is longer than the format can say.
    """
    height, width = image_u8.shape[:2]
    if max(height, width) > _SIDE_PX["webp"]:
        raise SettingsError(f"Expected sides up to {_SIDE_PX['webp']} px for WebP, got {width}x{height}. Take crops or no WebP.")
    return _saved(image_u8, "WEBP", {"quality": quality, "method": 4})


def encode_avif(image_u8: Image, quality: int) -> bytes:
    """Encode with libaom, chroma 4:2:0, on one thread and in one tile, because the number of both would decide the bytes.

    Args:
        image_u8: (H, W, 3) uint8.
        quality: 0..100.

    Raises:
        SettingsError: there is no such encoder here.
    """
    if not avif_version():
        raise SettingsError(
            f"Expected a Pillow with libavif and libaom for AVIF, Pillow {PIL.__version__} here has none. "
            "Install Pillow's own wheel (pip install --force-reinstall pillow), or switch AVIF off."
        )
    options = {"quality": quality, "subsampling": "4:2:0", "speed": 6, "codec": "aom", "max_threads": 1, "autotiling": False}
    return _saved(image_u8, "AVIF", options)


def webp_version() -> str:
    """Version of libwebp."""
    return str(PIL.features.version("webp"))


def avif_version() -> str:
    """Version of libavif; empty where it is missing or cannot encode."""
    if not PIL.features.check("avif"):
        return ""
    from PIL import _avif

    return str(_avif.libavif_version) if _avif.encoder_codec_available("aom") else ""


def libjpeg_version() -> str:
    """Version of the library behind JPEG, as Pillow bundles it."""
    return str(PIL.features.version("libjpeg_turbo") or PIL.features.version("jpg"))


def check_size(source: Source, kind: str) -> None:
    """Find out before the work whether a format can hold a result.

    Args:
        source: what is restored.
        kind: key of ENCODERS.

    Raises:
        UnknownName: there is no such encoder.
        ValueError: a side is longer than the format can say.
    """
    lookup(ENCODERS, kind, kind="output format")
    height, width = source.image_01.shape[:2]
    if max(height, width) > _SIDE_PX[kind]:
        raise ValueError(f"Expected sides up to {_SIDE_PX[kind]} px for {kind}, got {width}x{height}. Choose png.")


def render(restored_01: Floats, source: Source, kind: str) -> bytes:
    """Encode a result with all that its source carries and its format can hold.

    16 bits stay in PNG. Alpha stays in PNG and WebP; in JPEG the picture is laid on white. Grey stays grey (three equal
    channels in WebP). The profile is the source's own, and light outside sRGB comes back as it was. EXIF too long for a
    JPEG segment is left out.

    Args:
        restored_01: (H, W, 3) RGB in sRGB, [0, 1], in the size of the source.
        source: what was restored.
        kind: key of ENCODERS.

    Raises:
        UnknownName: there is no such encoder.
        ValueError: the sizes differ, or a side is longer than the format can say.
    """
    check_size(source, kind)
    if restored_01.shape != source.image_01.shape:
        raise ValueError(f"Expected a result in the size of its source, {source.image_01.shape}, got {restored_01.shape}.")
    alpha_u16 = source.alpha_u16
    image, icc = _in_its_colours(restored_01.clip(0, 1), source, kind)
    deep_png = source.bits == 16 and kind == "png"
    white = deep.WHITE if deep_png else 255
    levels = np.rint(image * np.float32(white)).astype(np.uint16)
    if alpha_u16 is not None and kind != "jpeg":
        alpha = alpha_u16 if deep_png else (alpha_u16.astype(np.uint32) * 255 + deep.WHITE // 2) // deep.WHITE
        levels = np.concatenate([levels, alpha[..., None].astype(np.uint16)], axis=2)
    if deep_png:
        return deep.png(levels, icc=icc, exif=source.exif)
    extra: dict[str, Any] = {"icc_profile": icc} if icc else {}
    if source.exif and (kind != "jpeg" or len(source.exif) <= _JPEG_SEGMENT_BYTES):
        extra["exif"] = source.exif
    name, options = ENCODERS[kind]
    image_u8 = levels.astype(np.uint8)
    return _saved(image_u8[..., 0] if image_u8.shape[2] == 1 else image_u8, name, {**options, **extra})


def _in_its_colours(image_01: Floats, source: Source, kind: str) -> tuple[Floats, bytes]:
    """From sRGB to the source's values, (H, W, 1 or 3), and the profile that goes with them."""
    profile, icc, beyond_HWC = source.profile, source.icc, source.beyond_HWC
    if source.alpha_u16 is not None and kind == "jpeg":
        alpha = source.alpha_u16[..., None].astype(np.float32) / np.float32(deep.WHITE)
        image_01 = image_01 * alpha + (np.float32(1) - alpha)
        beyond_HWC = None if beyond_HWC is None else beyond_HWC * alpha
    if source.grey:
        image_01 = (image_01 @ _BT601)[..., None]
    if source.grey and kind == "webp":  # has no grey, so no profile of grey either
        return np.repeat(image_01, 3, axis=2), colour.srgb_profile() if icc else b""
    if profile is not None:
        light_HWC = linear(image_01)
        image_01 = profile.from_srgb(light_HWC if beyond_HWC is None else light_HWC + beyond_HWC)
    return image_01, icc


def _saved(image_u8: Image, name: str, options: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(image_u8).save(buffer, name, **options)
    return buffer.getvalue()
