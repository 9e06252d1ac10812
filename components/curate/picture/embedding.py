"""A map of the pictures by what they show: features of a sample, t-SNE, and a free place for every thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.backends.report import data_uri, thumbnail
from components.backends.tables import Tables
from components.curate.picture.sheets import Reader, chosen, first_by_id
from components.imaging import codec
from components.records import Progress

Floats = npt.NDArray[np.float64]
Describe = Callable[[Sequence[codec.Image]], Floats]
"""Pictures to one row of features each."""

KEPT_MAPPED = 160
OTHERS_MAPPED = 50
"""Pictures of each dataset that the map is compared with."""
TILE_PX = 56
JPEG_QUALITY = 66
SEEN_PX = 1024
"""Longest side that is described; larger pictures are made smaller first, which bounds memory."""
BATCH = 8
ROOM = 1.9
"""Places per picture; what stays free keeps the clusters apart."""
ASPECT = 1.6
STEPS = 600
"""Of the layout; the first 250 exaggerate, and with a few hundred points little moves after 500."""


@dataclass(frozen=True)
class Tile:
    """One picture on the map."""

    uri: str
    column: int
    row: int
    css: str


@dataclass(frozen=True)
class Map:
    """Tiles on a grid."""

    columns: int
    rows: int
    tiles: Sequence[Tile]
    names: Sequence[tuple[str, str]]
    """(css class, name and number of its pictures)."""
    features: str
    """What the distance means."""


def draw_map(
    tables: Tables, reader: Reader, compared: Sequence[tuple[str, str]], encoder: Path | None, progress: Progress
) -> Map | None:
    """Place a sample of each dataset by similarity; None where fewer than five pictures are kept.

    Args:
        tables: with the views.
        reader: reads the pictures.
        compared: (name, view), the kept pictures first.
        encoder: bundle with the image encoder; None for colour and texture.
        progress: called after each batch.

    Raises:
        ValueError: the bundle lacks its encoder or it was damaged.
    """
    samples = [
        chosen(tables, first_by_id(view, OTHERS_MAPPED if index else KEPT_MAPPED), view).get("", [])
        for index, (_, view) in enumerate(compared)
    ]
    rows = [(_css(index), row) for index, found in enumerate(samples) for row in found]
    if len(samples[0]) < 5:
        return None
    describe, features = encoder_features(encoder) if encoder else (colour_and_texture, COLOUR_AND_TEXTURE)
    uris: list[str] = []
    described: list[Floats] = []
    for start in range(0, len(rows), BATCH):
        images = [thumbnail(reader.image(row), SEEN_PX) for _, row in rows[start : start + BATCH]]
        described.append(describe(images))
        uris += [data_uri(codec.encode_jpeg(thumbnail(_middle(image_u8), TILE_PX), JPEG_QUALITY)) for image_u8 in images]
        progress("map", len(uris), len(rows))
    height = int(np.ceil(np.sqrt(ROOM * len(rows) / ASPECT)))
    width = int(np.ceil(height * ASPECT))
    cells = places(project(np.concatenate(described)), width, height)
    tiles = [Tile(uri, column, row, css) for uri, (column, row), (css, _) in zip(uris, cells, rows, strict=True)]
    names = [(_css(index), f"{name} ({len(samples[index])})") for index, (name, _) in enumerate(compared)]
    return Map(width, height, tiles, names, features)


def _css(index: int) -> str:
    """Class of a dataset's frames, `m1` to `m4`; the kept pictures, `m0`, have none."""
    return f"m{(index - 1) % 4 + 1}" if index else "m0"


def encoder_features(folder: Path) -> tuple[Describe, str]:
    """Load the image encoder of a bundle and say what its features are.

    Raises:
        ValueError: a file is missing or damaged.
    """
    import torch

    from models.bundle import build_encoder, read_weights
    from models.config import NetworkConfig
    from models.files import FROZEN_FILES
    from models.pixels import encoder_square

    config = NetworkConfig.load(folder).encoder
    encoder = build_encoder(config)
    read_weights(folder / FROZEN_FILES["encoder"], encoder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder.to(device).eval()

    def _unit(image_u8: codec.Image) -> torch.Tensor:
        return torch.from_numpy(image_u8).permute(2, 0, 1)[None].float() / 255

    @torch.no_grad()
    def describe(images: Sequence[codec.Image]) -> Floats:
        squares = [encoder_square(_unit(image_u8), config.image_px, eight_bit=config.resize == "pillow") for image_u8 in images]
        states_BSE = encoder(pixel_values=torch.cat(squares).to(device)).last_hidden_state
        features: Floats = states_BSE.mean(dim=1).double().cpu().numpy()
        return features

    size = f"{config.layers} layers of {config.hidden}, {config.image_px} px"
    return describe, f"mean token of the image encoder in the base bundle {folder.name} (SigLIP tower: {size})"


COLOUR_AND_TEXTURE = (
    "mean colours of a 4 × 4 grid and the directions of its edges; no image encoder was at hand, so this shows looks, not meaning"
)


def colour_and_texture(images: Sequence[codec.Image]) -> Floats:
    """Describe pictures without a network: 48 mean colours, and 8 edge directions in each quarter."""
    return np.stack([_looks(thumbnail(image_u8, 64).astype(np.float64) / 255) for image_u8 in images])


def _looks(image_01: Floats) -> Floats:
    halves = [np.array_split(band, 2, axis=1) for band in np.array_split(image_01.mean(axis=2), 2)]
    tiles = [tile for band in np.array_split(image_01, 4) for tile in np.array_split(band, 4, axis=1)]
    colours = [tile.reshape(-1, 3).mean(axis=0) if tile.size else np.zeros(3) for tile in tiles]
    edges = []
    for quarter in (quarter for band in halves for quarter in band):
        if min(quarter.shape) < 2:
            edges.append(np.zeros(8))
            continue
        down, across = np.gradient(quarter)
        direction = np.mod(np.arctan2(down, across), np.pi)
        edges.append(np.histogram(direction, bins=8, range=(0, np.pi), weights=np.hypot(down, across))[0] / quarter.size)
    return np.concatenate([*colours, *(8 * edge for edge in edges)])


def project(features: Floats) -> Floats:
    """Lay features out in a plane by t-SNE (van der Maaten and Hinton 2008), the same way every time.

    Args:
        features: (n, d), n at least 5.

    Returns:
        (n, 2), each coordinate spread evenly over [0, 1] by rank.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count = len(features)
    spread = features.std(axis=0)
    scaled = (features - features.mean(axis=0)) / np.where(spread > 0, spread, 1)
    size = min(50, count, features.shape[1])
    # one thread: sums of several are added in an order that depends on how many there are
    with threadpool_limits(1):
        few = PCA(n_components=size, svd_solver="full").fit_transform(scaled)
        start = few[:, :2] / max(1e-9, float(few[:, 0].std())) * 1e-4
        flat = TSNE(perplexity=min(30.0, (count - 1) / 3), init=start, method="exact", max_iter=STEPS, random_state=0)
        points: Floats = flat.fit_transform(few).astype(np.float64)
    return np.asarray(points.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") / max(1, count - 1))


def places(points: Floats, columns: int, rows: int) -> list[tuple[int, int]]:
    """Give each point a cell of its own, with the least movement in all.

    Args:
        points: (n, 2) in [0, 1].
        columns: of the grid.
        rows: of the grid; columns times rows must be n or more.
    """
    from scipy.optimize import linear_sum_assignment

    across, down = np.meshgrid(np.arange(columns), np.arange(rows))
    cells = np.stack([across.ravel(), down.ravel()], axis=1)
    wanted = points * (columns - 1, rows - 1)
    distance: Any = ((wanted[:, None] - cells[None]) ** 2).sum(axis=2)
    _, taken = linear_sum_assignment(distance)
    return [(int(cells[index, 0]), int(cells[index, 1])) for index in taken]


def _middle(image_u8: codec.Image) -> codec.Image:
    """Cut the middle square."""
    height, width = image_u8.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image_u8[top : top + side, left : left + side]
