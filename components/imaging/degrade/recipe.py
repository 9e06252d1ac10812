"""Recipes: everything that was drawn for one LQ/HQ pair, from which its pixels are made again.

A recipe depends on (seed, image id, epoch, settings) alone, never on order, process or batch; the same recipe and picture
give the same bytes, or an error where the libraries that are here would give others. A pair is stored as its recipe, some
250 bytes instead of megabytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from typing import Annotated, Self

import numpy as np
from pydantic import Field

from components.errors import ManifestError, SettingsError
from components.imaging.degrade import versions
from components.imaging.degrade.carrier import Image, to_image, to_pixels
from components.imaging.degrade.crop import crop
from components.imaging.degrade.drawing import choose
from components.imaging.degrade.filter import sharpen
from components.imaging.degrade.operators import DEGRADATIONS, Step
from components.imaging.degrade.packing import pack_steps, unpack_steps
from components.imaging.degrade.presets import PRESETS, DegradeSettings, preset
from components.records import Record, canonical_json

__all__ = ["OPERATOR", "PRESETS", "DegradeSettings", "Recipe", "apply", "cut", "draw", "preset"]

OPERATOR = "degrade-1"
"""Version of draw and apply; a change of the bytes changes it."""

_local = threading.local()

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Record):
    """One pair's drawn values; `Recipe.model_validate_json` reads what canonical_json wrote."""

    operator: str
    """Version of the program that drew it."""
    crop_px: int | None
    """Side of the HQ crop; None is the whole picture."""
    top: Fraction
    """Row of the crop as a fraction of the rows where it fits; so a recipe needs no picture to be drawn."""
    left: Fraction
    """Column of the crop, likewise."""
    flip: bool
    """Mirror left and right, before the steps."""
    sharpen: bool = False
    """Sharpen the crop; the sharpened one is the HQ of the pair, and what the steps begin with."""
    variant: str = ""
    """Name of the preset's variant that it was drawn from; empty in recipes of the time before."""
    steps: tuple[Step, ...]
    """In the order in which they are carried out."""
    made_with: str = ""
    """`versions.stamp` where it was drawn; empty in recipes of the time before."""

    def pack(self) -> str:
        """Give the short text that `unpack` reads, at most 400 bytes for the presets."""
        crop_values = (self.crop_px, self.top, self.left, int(self.flip), int(self.sharpen))
        packed = [self.operator, self.made_with, *crop_values, self.variant, pack_steps(self.steps)]
        return json.dumps(packed, separators=(",", ":"))

    def lines(self) -> list[str]:
        """Say what is done to the picture, a line for the crop and one for each step."""
        where = "the whole picture" if self.crop_px is None else f"{self.crop_px} px at {self.top:.3f}, {self.left:.3f}"
        said = [f"hq: {where}{', mirrored' if self.flip else ''}{', sharpened' if self.sharpen else ''}"]
        for step in self.steps:
            values = step.model_dump(exclude={"kind"}).items()
            said.append(f"{step.kind}: {', '.join(f'{name} {value}' for name, value in values)}")
        return said

    @classmethod
    def unpack(cls, text: str) -> Self:
        """Read what `pack` wrote, or the JSON object of the time before.

        Raises:
            ManifestError: the text is no recipe, or a value is outside its range.
        """
        try:
            given = json.loads(text)
            if isinstance(given, dict):
                return cls.model_validate(given)
            operator, made_with, crop_px, top, left, flip, sharpened, *variant, steps = given
            return cls(
                operator=operator, made_with=made_with, crop_px=crop_px, top=top, left=left,
                flip=bool(flip), sharpen=bool(sharpened),
                variant="".join(variant), steps=unpack_steps(steps),
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise ManifestError(f"Expected a packed recipe, got {text[:200]!r}: {error}") from error


def draw(seed: int, image_id: str, epoch: int, settings: DegradeSettings) -> Recipe:
    """Draw one recipe.

    The random numbers are keyed by seed, id and epoch; settings only map them to ranges, so that two presets
    draw comparable pairs and a new crop side changes no other value.

    Args:
        seed: of the data set or the evaluation.
        image_id: id of the HQ picture.
        epoch: 0, 1, ...
        settings: what may be drawn.
    """
    key = hashlib.sha256(canonical_json([OPERATOR, seed, image_id, epoch]).encode()).digest()
    generator = _generator(int.from_bytes(key[:16], "big"))
    which, top, left, flip = generator.random(4).tolist()
    index = choose([variant.share for variant in settings.variants], which)
    variant = settings.variants[index]
    steps = variant.draw(generator)
    return Recipe(
        operator=OPERATOR,
        crop_px=settings.crop_px,
        top=_shorten(top),
        left=_shorten(left),
        flip=flip < settings.flip_share,
        sharpen=variant.sharpen,
        variant=variant.name,
        steps=steps,
        made_with=versions.stamp(step.kind for step in steps),
    )


def _generator(key: int) -> np.random.Generator:
    """Give numpy's Philox at the beginning of a key's stream; setting the state costs a fifth of making one."""
    if not hasattr(_local, "philox"):
        _local.philox = np.random.Philox(key=0)
        _local.state = _local.philox.state
        _local.generator = np.random.Generator(_local.philox)
    _local.state["state"]["key"][:] = key & 0xFFFF_FFFF_FFFF_FFFF, key >> 64
    _local.philox.state = _local.state
    generator: np.random.Generator = _local.generator
    return generator


def apply(hq_u8: Image, recipe: Recipe) -> tuple[Image, Image]:
    """Make one pair.

    Args:
        hq_u8: (H, W, 3) uint8 RGB, the whole picture.
        recipe: what to do to it.

    Returns:
        (hq_crop_u8, lq_u8), both (crop_px, crop_px, 3), or (H, W, 3) without a crop.

    Raises:
        SettingsError: the picture is smaller than the crop, or another version drew the recipe, or libraries that give
            other bytes.
    """
    hq_crop_u8 = cut(hq_u8, recipe)
    size_px = (hq_crop_u8.shape[0], hq_crop_u8.shape[1])
    if recipe.sharpen:
        hq_crop_u8 = to_image(sharpen(to_pixels(hq_crop_u8)))
    pixels = to_pixels(hq_crop_u8)
    for step in recipe.steps:
        pixels = DEGRADATIONS[step.kind](pixels, step, size_px)
    return hq_crop_u8, to_image(pixels)


def cut(hq_u8: Image, recipe: Recipe) -> Image:
    """Refuse a recipe that cannot be carried out here, and give its crop, mirrored but not sharpened; see `apply`."""
    if recipe.operator != OPERATOR:
        raise SettingsError(f"Expected a recipe of {OPERATOR}, this one is of {recipe.operator}. Run synthesize again.")
    versions.require_same(recipe.made_with, (step.kind for step in recipe.steps))
    return crop(hq_u8, recipe.crop_px, (recipe.top, recipe.left), flip=recipe.flip)


def _shorten(fraction: float) -> float:
    """Keep six digits and stay below 1."""
    return math.floor(fraction * 1e6) / 1e6
