"""Real photos that come inside the scikit-image and scikit-learn wheels, cut into crops.

They need no download and carry open licences, so the first run on a fresh machine has something real to
work on. Each photo is one scene; its crops never stand on both sides of the train/test split.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from components.errors import DecodeError, SourceError
from components.imaging import codec
from components.ingest.settings import IngestSettings
from components.ingest.source import About, Address, Entry, Fetched, read_each

_PUBLIC = "public domain (NASA)"


class Photo(NamedTuple):
    """One packaged photo."""

    package: str
    path: str
    scene: str
    licence: str
    """As the documentation of the package states it."""


PHOTOS: Mapping[str, Photo] = {
    "astronaut": Photo("skimage", "data/astronaut.png", "astronaut", _PUBLIC),
    "chelsea": Photo("skimage", "data/chelsea.png", "chelsea", "CC0"),
    "china": Photo("sklearn", "datasets/images/china.jpg", "china", "CC BY"),
    "coffee": Photo("skimage", "data/coffee.png", "coffee", "CC0"),
    "flower": Photo("sklearn", "datasets/images/flower.jpg", "flower", "CC BY"),
    "hubble": Photo("skimage", "data/hubble_deep_field.jpg", "hubble", _PUBLIC),
    "ihc": Photo("skimage", "data/ihc.png", "ihc", "no known copyright restrictions"),
    "retina": Photo("skimage", "data/retina.jpg", "retina", "CC0"),
    "rocket": Photo("skimage", "data/rocket.jpg", "rocket", "public domain (SpaceX)"),
}


@dataclass(frozen=True)
class PackagedSource:
    """Crops of the packaged photos; the default input."""

    about: About
    crop_px: int

    @classmethod
    def open(cls, address: Address, settings: IngestSettings) -> PackagedSource:
        """Open `packaged:`."""
        return cls(address.about("packaged"), settings.packaged_crop_px)

    def entries(self) -> Iterator[Entry]:
        """See Source.entries."""
        for name, photo in PHOTOS.items():
            height, width = _pixels(name).shape[:2]
            stamp = str(_path(photo).stat().st_size)
            for top in _starts(height, self.crop_px):
                for left in _starts(width, self.crop_px):
                    origin = f"{name}/{top:04d}_{left:04d}_{self.crop_px}.png"
                    yield Entry(origin, photo.scene, bytes=3 * self.crop_px**2, stamp=stamp, licence=photo.licence)

    def read(self, entries: Sequence[Entry]) -> Iterator[Fetched]:
        """See Source.read."""
        return read_each(self._read, entries)

    def _read(self, entry: Entry) -> bytes:
        name, _, place = entry.origin.partition("/")
        top, left, side = (int(part) for part in place.removesuffix(".png").split("_"))
        return codec.encode_png(_pixels(name)[top : top + side, left : left + side])


def _starts(length: int, side: int) -> list[int]:
    """Edges of evenly spread crops that cover the length; neighbours overlap by a third at most."""
    count = max(1, (2 * length + side) // (2 * side))
    if count * side <= length:
        margin = (length - count * side) // 2
        return [margin + side * index for index in range(count)]
    return [index * (length - side) // (count - 1) for index in range(count)]


def _path(photo: Photo) -> Path:
    spec = importlib.util.find_spec(photo.package)
    if spec is None or spec.origin is None:
        raise SourceError(f"Expected the package '{photo.package}' with its photos; it is not installed. Run make.")
    return Path(spec.origin).parent / photo.path


@lru_cache(maxsize=2)
def _pixels(name: str) -> codec.Image:
    path = _path(PHOTOS[name])
    try:
        return codec.decode(path.read_bytes()).image_u8
    except (OSError, DecodeError) as error:
        raise SourceError(f"Cannot read the packaged photo '{name}': {error}. Run make to install the lock again.") from error
