"""Weights from one layout to another, lazily and strictly, in both directions.

Nothing is dropped or filled in silently: a key too many or too few, or another size, is an error that lists them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from models.autoencoder import build_autoencoder
from models.bundle import Prompt, build_backbone, build_encoder
from models.conditioner import hint_convolutions
from models.config import NetworkConfig
from models.connector import build_connector
from models.layouts import Layout, Piece, adapter_layout, autoencoder_layout, backbone_layout, connector_layout, prior_layout
from models.lucidflux import Adapter
from models.prior import build_prior
from models.tensors import Entry

Shapes = Mapping[str, tuple[int, ...]]
SHOWN = 5
"""Names that an error lists before it counts the rest."""
UNUSED_BY_ENCODER = ("head.", "text_model.", "logit_scale", "logit_bias")
"""Tensors of a SigLIP checkpoint that LucidFlux does not use: pooling head, text tower, similarity."""


def shapes_of(part: str, config: NetworkConfig) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a part has here, without making the tensors."""
    with torch.device("cpu" if part == "prior" else "meta"):  # SwinIR computes with its values while it is made
        module = _build(part, config)
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _build(part: str, config: NetworkConfig) -> nn.Module:
    if part not in BUILDERS:
        raise ValueError(f"No part is called {part!r}; choose one of {', '.join(BUILDERS)}.")
    return BUILDERS[part](config)


BUILDERS: Mapping[str, Callable[[NetworkConfig], nn.Module]] = {
    "adapter": Adapter,
    "backbone": lambda config: build_backbone(config.backbone, config.latent),
    "autoencoder": lambda config: build_autoencoder(config.autoencoder, config.latent),
    "prior": lambda config: build_prior(config.prior),
    "encoder": lambda config: build_encoder(config.encoder),
    "connector": build_connector,
    "prompt": lambda config: Prompt(config.prompt_tokens, config.backbone),
    "hint": lambda config: hint_convolutions(config.conditioner.hint_channels, config.latent.downscale),
}
"""Part -> what makes its module."""


def layout_of(part: str, config: NetworkConfig, shapes: Shapes) -> Layout:
    """The released layout of a part.

    Raises:
        ValueError: the part at this config has none.
    """
    if part == "backbone":
        return backbone_layout(config)
    if part == "adapter":
        return adapter_layout(config)
    if part == "autoencoder":
        return autoencoder_layout(config.autoencoder)
    if part == "connector":
        return connector_layout()
    if part == "prior":
        return prior_layout(config, list(shapes))
    return [Piece(name, (name,)) for name in shapes]


def released_shape(piece: Piece, shapes: Shapes) -> tuple[int, ...]:
    """Shape of the released tensor of a piece."""
    first = shapes[piece.ours[0]]
    if piece.kind == "split":
        return (sum(shapes[name][0] for name in piece.ours), *first[1:])
    return (*first, 1, 1) if piece.kind == "square" else first


def to_ours(part: str, released: Mapping[str, Tensor], config: NetworkConfig) -> list[Entry]:
    """Entries of our file of a part, made from the tensors of the released one.

    Raises:
        ValueError: lists what is missing, unexpected or of another size.
    """
    shapes = shapes_of(part, config)
    layout = layout_of(part, config, shapes)
    check(released, {piece.released: released_shape(piece, shapes) for piece in layout})
    return [
        Entry(name, shapes[name], released[piece.released].dtype, functools.partial(_part, released, piece, index, shapes))
        for piece in layout
        for index, name in enumerate(piece.ours)
    ]


def _part(released: Mapping[str, Tensor], piece: Piece, index: int, shapes: Shapes) -> Tensor:
    tensor = released[piece.released]
    if piece.kind == "split":
        return torch.split(tensor, [shapes[name][0] for name in piece.ours])[index]
    if piece.kind == "swap":
        return torch.cat(tensor.chunk(2)[::-1])
    return tensor.reshape(shapes[piece.ours[index]])


def to_released(part: str, ours: Mapping[str, Tensor], config: NetworkConfig) -> list[Entry]:
    """Entries of the released file of a part, made from the tensors of ours.

    Raises:
        ValueError: lists what is missing, unexpected or of another size; or the part has no released layout.
    """
    shapes = shapes_of(part, config)
    check(ours, shapes)
    return [
        Entry(
            piece.released,
            released_shape(piece, shapes),
            ours[piece.ours[0]].dtype,
            functools.partial(_whole, ours, piece, shapes),
        )
        for piece in layout_of(part, config, shapes)
    ]


def _whole(ours: Mapping[str, Tensor], piece: Piece, shapes: Shapes) -> Tensor:
    tensors = [ours[name] for name in piece.ours]
    if piece.kind == "split":
        return torch.cat(tensors)
    if piece.kind == "swap":
        return torch.cat(tensors[0].chunk(2)[::-1])
    return tensors[0].reshape(released_shape(piece, shapes))


def vision_tower(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the vision tower of a SigLIP checkpoint, of the tower alone or of the whole model."""
    inner = {name.removeprefix("vision_model."): tensor for name, tensor in released.items()}
    return {name: tensor for name, tensor in inner.items() if not name.startswith(UNUSED_BY_ENCODER)}


def check(found: Mapping[str, Tensor], expected: Shapes) -> None:
    """Require exactly these tensors.

    Raises:
        ValueError: lists what is missing, unexpected or of another size.
    """
    complaints = []
    if missing := sorted(expected.keys() - found.keys()):
        complaints.append(f"lacks {_some(missing)}")
    if unexpected := sorted(found.keys() - expected.keys()):
        complaints.append(f"has unexpected {_some(unexpected)}")
    common = sorted(expected.keys() & found.keys())
    if sizes := [
        f"{name} is {list(found[name].shape)}, not {list(expected[name])}"
        for name in common
        if tuple(found[name].shape) != expected[name]
    ]:
        complaints.append(f"other sizes: {_some(sizes)}")
    if complaints:
        raise ValueError(f"{'; '.join(complaints)}. Give the config that belongs to the file (--config).")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"


def state(entries: Iterable[Entry]) -> dict[str, Tensor]:
    """Make all tensors, for a module that takes them at once."""
    return {item.name: item.make() for item in entries}
