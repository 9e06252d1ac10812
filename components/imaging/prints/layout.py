"""The bytes of a print, little-endian; the codes come first, so that a query can cut them out.

| at | what |
|---|---|
| 0 | how many blobs, n; position of the whole picture; rows and columns of the thumbnail: 1 byte each |
| 4 | width and height of the working picture, px: 2 bytes each |
| 8 | grey levels of one step of the thumbnail, and of its zero: float32 each |
| 16 | codes, 8 bytes each, most significant first: the whole picture, then the blobs |
| 24 + 8n | x, then y of the blobs, in 1/16 px of the working picture: 2 bytes each |
| 24 + 12n | sigma (5 bits, steps of 1/6 octave from 1 px) and position (3 bits) of the blobs: 1 byte each |
| 24 + 13n | thumbnail, row by row: 1 byte each |
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from components.imaging.prints.keypoints import Blobs, Plane

CODES_AT = 16
CODE_BYTES = 8
SUBPIXELS = 16.0
SIGMA_STEPS = 6.0
THUMBNAIL_PX = 30 * 30
"""Area of the thumbnail, whatever its shape."""
MOST_SIDE = 255
LEAST_RANGE = 1e-3
"""Grey levels; less is rounding of a picture of one level."""
_HEAD = struct.Struct("<BBBBHHff")


class Print(NamedTuple):
    """An unpacked print."""

    width: float
    """Sides of the working picture, px; their product is about keypoints.AREA_PX."""
    height: float
    whole: int
    whole_position: int
    codes: npt.NDArray[np.uint64]
    positions: npt.NDArray[np.uint8]
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]
    thumbnail: npt.NDArray[np.float64]
    """(rows, columns), grey levels."""


def pack(plane: Plane, blobs: Blobs, whole: tuple[int, int]) -> bytes:
    """Write a print; empty for a picture of one level."""
    thumbnail = _thumbnail(plane)
    low, high = float(thumbnail.min()), float(thumbnail.max())
    if high - low < LEAST_RANGE:
        return b""
    step = (high - low) / 255
    height, width = plane.shape
    head = _HEAD.pack(len(blobs.codes), whole[1], *thumbnail.shape, min(width, 65535), min(height, 65535), step, low)
    codes = np.concatenate([np.array([whole[0]], np.uint64), blobs.codes]).astype(">u8")
    places = [np.minimum(np.rint(axis * SUBPIXELS), 65535).astype("<u2") for axis in (blobs.x, blobs.y)]
    sigmas = np.clip(np.rint(np.log2(blobs.sigma) * SIGMA_STEPS), 0, 31).astype(np.uint8)
    grey = np.rint((thumbnail - low) / step).astype(np.uint8)
    return b"".join(
        (head, codes.tobytes(), *(axis.tobytes() for axis in places), (sigmas << 3 | blobs.positions).tobytes(), grey.tobytes())
    )


def unpack(data: bytes) -> Print:
    """Read a print that is not empty."""
    count, whole_position, rows, columns, width, height, step, low = _HEAD.unpack_from(data)
    codes = np.frombuffer(data, ">u8", count + 1, CODES_AT).astype(np.uint64)
    at = CODES_AT + CODE_BYTES * (count + 1)
    x, y = (np.frombuffer(data, "<u2", count, at + 2 * count * axis) / SUBPIXELS for axis in range(2))
    packed = np.frombuffer(data, np.uint8, count, at + 4 * count)
    grey = np.frombuffer(data, np.uint8, rows * columns, at + 5 * count).reshape(rows, columns)
    sigma = 2.0 ** ((packed >> 3) / SIGMA_STEPS)
    return Print(
        width, height, int(codes[0]), whole_position, codes[1:], packed & np.uint8(7), x, y, sigma, grey * np.float64(step) + low
    )


def _thumbnail(plane: Plane) -> npt.NDArray[Any]:
    height, width = plane.shape
    scale = math.sqrt(THUMBNAIL_PX / (height * width))
    size = tuple(min(MOST_SIDE, max(1, round(side * scale))) for side in (width, height))
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))
