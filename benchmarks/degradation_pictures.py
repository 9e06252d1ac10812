"""Pictures of docs/degradation.md: for each extra degradation a part of a photo as it is (left) and with the defect (right).

    python -m benchmarks.degradation_pictures

The two photos are packaged with scikit-image: an astronaut (NASA, public domain) and a cup of coffee (CC0).
"""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from components.imaging import codec
from components.imaging.degrade.carrier import Image, to_image, to_pixels
from components.imaging.degrade.chroma import Chroma
from components.imaging.degrade.container import Avif, Webp
from components.imaging.degrade.fading import Fading
from components.imaging.degrade.halo import Halo
from components.imaging.degrade.lens import Lens
from components.imaging.degrade.motion import Motion
from components.imaging.degrade.operators import DEGRADATIONS, Step
from components.imaging.degrade.scratches import Scratches
from components.imaging.degrade.sensor import Sensor

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "pictures"
SIDE_PX = 288
"""Of each half."""
JPEG_QUALITY = 93


class View(NamedTuple):
    """What is shown of which photo."""

    photo: str
    wide_px: int
    """Width of the whole photo, made smaller first."""
    left: float
    top: float
    """Middle of the part, over width and height."""
    zoom: int


FACE = View("astronaut", 512, 0.44, 0.27, 1)
NEAR_FACE = View("astronaut", 512, 0.44, 0.22, 2)
NEAR_CUP = View("coffee", 240, 0.42, 0.42, 4)
TABLE = View("coffee", 500, 0.5, 0.5, 1)

SHOWN: dict[str, tuple[View, Step]] = {
    "motion": (NEAR_FACE, Motion(length_px=12, theta=0.5)),
    "lens": (NEAR_FACE, Lens(radius_px=4)),
    "sensor": (NEAR_FACE, Sensor(shot=0.008, read=1e-4, seed=1)),
    "chroma": (NEAR_CUP, Chroma(layout="4:1:0", upsampling="repeated")),
    "webp": (NEAR_FACE, Webp(quality=15)),
    "avif": (NEAR_FACE, Avif(quality=35)),
    "fading": (TABLE, Fading(cyan_percent=55, magenta_percent=70, yellow_percent=75, stain_hundredths=18)),
    "scratches": (FACE, Scratches(lines=20, specks=60, opacity_percent=85, width_px=1.2, seed=5)),
    "halo": (NEAR_FACE, Halo(amount_percent=300, sigma_px=1.2)),
}


def sheet(photo_u8: Image, view: View, step: Step) -> Image:
    """Both halves beside each other, (SIDE_PX, 2 SIDE_PX + 8, 3)."""
    scale = view.wide_px / photo_u8.shape[1]
    small_u8 = cv2.resize(photo_u8, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    pixels = to_pixels(small_u8)
    bad_u8 = to_image(DEGRADATIONS[step.kind](pixels, step, small_u8.shape[:2]))
    halves = [_part(picture, view) for picture in (small_u8, bad_u8)]
    return np.concatenate([halves[0], np.full((SIDE_PX, 8, 3), 255, np.uint8), halves[1]], axis=1)


def _part(picture_u8: Image, view: View) -> Image:
    """A square around the middle of the view, enlarged pixel by pixel."""
    side = SIDE_PX // view.zoom
    height, width = picture_u8.shape[:2]
    top = min(max(0, round(view.top * height) - side // 2), height - side)
    left = min(max(0, round(view.left * width) - side // 2), width - side)
    return picture_u8[top : top + side, left : left + side].repeat(view.zoom, axis=0).repeat(view.zoom, axis=1)


def main() -> None:
    """Write docs/pictures/degradation-<name>.jpg."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args()
    folder = Path(str(importlib.resources.files("skimage"))) / "data"
    photos = {name: codec.decode((folder / f"{name}.png").read_bytes()).image_u8 for name in ("astronaut", "coffee")}
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    for name, (view, step) in SHOWN.items():
        shown = np.ascontiguousarray(sheet(photos[view.photo], view, step)[..., ::-1])
        path = given.folder / f"degradation-{name}.jpg"
        cv2.imwrite(str(path), shown, options)
        print(f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, {step}")


if __name__ == "__main__":
    main()
