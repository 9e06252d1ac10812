"""Names of the released weight files beside the names here, piece by piece, for any sizes.

The released second branch is called `ldr`; only this file knows that name. Layouts are lists made from a config, not
patterns: what a file must hold is known exactly, in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from models.config import AutoencoderConfig, BackboneConfig, NetworkConfig

Kind = Literal["same", "split", "swap", "square"]
"""`same`: the same tensor; `split`: one joined tensor is several here; `swap`: its halves change places (shift, scale
against scale, shift); `square`: a 1x1 convolution is a linear here."""


@dataclass(frozen=True)
class Piece:
    """One tensor of the released file and what it is here."""

    released: str
    ours: tuple[str, ...]
    kind: Kind = "same"


Layout = Sequence[Piece]


def _both(released: str, ours: str | Sequence[str], kind: Kind = "same") -> list[Piece]:
    """Weight and bias of one layer."""
    names = (ours,) if isinstance(ours, str) else tuple(ours)
    return [Piece(f"{released}.{part}", tuple(f"{name}.{part}" for name in names), kind) for part in ("weight", "bias")]


def _double(released: str, ours: str) -> list[Piece]:
    """One double block."""
    pieces: list[Piece] = []
    for stream, norm, feed, projections, out, scale in (
        ("img", "norm1", "ff", ("to_q", "to_k", "to_v"), "to_out.0", "norm_{}"),
        ("txt", "norm1_context", "ff_context", ("add_q_proj", "add_k_proj", "add_v_proj"), "to_add_out", "norm_added_{}"),
    ):
        pieces += _both(f"{released}.{stream}_mod.lin", f"{ours}.{norm}.linear")
        pieces += _both(f"{released}.{stream}_attn.qkv", [f"{ours}.attn.{name}" for name in projections], "split")
        pieces += _both(f"{released}.{stream}_attn.proj", f"{ours}.attn.{out}")
        for theirs, letter in (("query", "q"), ("key", "k")):
            pieces.append(
                Piece(f"{released}.{stream}_attn.norm.{theirs}_norm.scale", (f"{ours}.attn.{scale.format(letter)}.weight",))
            )
        pieces += _both(f"{released}.{stream}_mlp.0", f"{ours}.{feed}.net.0.proj")
        pieces += _both(f"{released}.{stream}_mlp.2", f"{ours}.{feed}.net.2")
    return pieces


def _single(released: str, ours: str) -> list[Piece]:
    """One single block."""
    joined = [f"{ours}.{name}" for name in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")]
    return [
        *_both(f"{released}.modulation.lin", f"{ours}.norm.linear"),
        *_both(f"{released}.linear1", joined, "split"),
        *_both(f"{released}.linear2", f"{ours}.proj_out"),
        Piece(f"{released}.norm.query_norm.scale", (f"{ours}.attn.norm_q.weight",)),
        Piece(f"{released}.norm.key_norm.scale", (f"{ours}.attn.norm_k.weight",)),
    ]


def _embedders(backbone: BackboneConfig, released: str = "", ours: str = "") -> list[Piece]:
    """Time, pooled prompt and, where there is one, guidance."""
    pieces: list[Piece] = []
    for theirs, target in (("time", "timestep"), ("vector", "text"), ("guidance", "guidance")):
        if theirs == "guidance" and not backbone.guidance_embeds:
            continue
        for old, new in (("in_layer", "linear_1"), ("out_layer", "linear_2")):
            pieces += _both(f"{released}{theirs}_in.{old}", f"{ours}time_text_embed.{target}_embedder.{new}")
    return pieces


def backbone_layout(config: NetworkConfig) -> Layout:
    """Black Forest Labs' flux1-dev beside diffusers' FluxTransformer2DModel."""
    backbone = config.backbone
    pieces = [
        *_both("img_in", "x_embedder"),
        *_both("txt_in", "context_embedder"),
        *_embedders(backbone),
        *_both("final_layer.linear", "proj_out"),
        *_both("final_layer.adaLN_modulation.1", "norm_out.linear", "swap"),
    ]
    for index in range(backbone.double_blocks):
        pieces += _double(f"double_blocks.{index}", f"transformer_blocks.{index}")
    for index in range(backbone.single_blocks):
        pieces += _single(f"single_blocks.{index}", f"single_transformer_blocks.{index}")
    return pieces


def adapter_layout(config: NetworkConfig) -> Layout:
    """The released lucidflux.pth, outer and inner key joined by a dot, beside `models.lucidflux.Adapter`.

    Raises:
        ValueError: the adapter is not of the released kind.
    """
    kind = config.conditioner
    if (kind.variant, kind.branches, kind.modulation, kind.semantic) != ("released", "both", "both", True):
        raise ValueError(
            "The released file holds two branches of variant 'released', modulated by time and layer, and a connector; got "
            f"{kind.model_dump_json()}. Keep an adapter of another kind in its own file."
        )
    pieces: list[Piece] = []
    for theirs, ours in (("lq", "lq"), ("ldr", "lrp")):
        released, branch = f"condition_{theirs}.", f"condition_{ours}."
        for name in ("img_in", "txt_in", "pos_embed_input"):
            pieces += _both(released + name, branch + name)
        pieces += _embedders(config.backbone, released, branch)
        for index in range(kind.double_blocks):
            pieces += _double(f"{released}double_blocks.{index}", f"{branch}double_blocks.{index}")
            pieces += _both(f"{released}controlnet_blocks.{index}", f"{branch}controlnet_blocks.{index}")
        for index in range(0, 16, 2):
            pieces += _both(f"{released}input_hint_block.{index}", f"{branch}input_hint_block.{index}")
        for name in (
            "linear",
            *(f"{kind_}_embedder.linear_{number}" for kind_ in ("timestep", "control_index") for number in (1, 2)),
        ):
            pieces += _both(f"modulation_{theirs}.{name}", f"modulation_{ours}.{name}")
    return [*pieces, *connector_layout("connector.", "connector.")]


def connector_layout(released: str = "", ours: str = "") -> Layout:
    """A Redux checkpoint."""
    return [piece for name in ("redux_up", "redux_down") for piece in _both(released + name, ours + name)]


def autoencoder_layout(config: AutoencoderConfig) -> Layout:
    """Black Forest Labs' ae beside diffusers' AutoencoderKL.

    Raises:
        ValueError: the codec is not of the released kind.
    """
    if config.kind != "kl":
        raise ValueError("Only an autoencoder of kind 'kl' has a released layout; keep the miniature's in its own file.")
    levels = len(config.widths)
    pieces = _ends("encoder") + _ends("decoder")
    for level in range(levels):
        into, before = config.widths[level], config.widths[max(level - 1, 0)]
        for block in range(config.blocks):
            changes = block == 0 and into != before
            pieces += _residual(
                f"encoder.down.{level}.block.{block}", f"encoder.down_blocks.{level}.resnets.{block}", widens=changes
            )
        if level < levels - 1:
            pieces += _both(f"encoder.down.{level}.downsample.conv", f"encoder.down_blocks.{level}.downsamplers.0.conv")
        mirror = levels - 1 - level  # the decoder's levels are counted from the picture there, from the code here
        after = config.widths[min(level + 1, levels - 1)]
        for block in range(config.blocks + 1):
            changes = block == 0 and into != after
            pieces += _residual(
                f"decoder.up.{level}.block.{block}", f"decoder.up_blocks.{mirror}.resnets.{block}", widens=changes
            )
        if level > 0:
            pieces += _both(f"decoder.up.{level}.upsample.conv", f"decoder.up_blocks.{mirror}.upsamplers.0.conv")
    return pieces


def _ends(half: str) -> list[Piece]:
    """Outer convolutions and the middle of one half of the autoencoder."""
    pieces: list[Piece] = []
    for name, ours in (("conv_in", "conv_in"), ("norm_out", "conv_norm_out"), ("conv_out", "conv_out")):
        pieces += _both(f"{half}.{name}", f"{half}.{ours}")
    for number in (1, 2):
        pieces += _residual(f"{half}.mid.block_{number}", f"{half}.mid_block.resnets.{number - 1}")
    attention = f"{half}.mid_block.attentions.0"
    pieces += _both(f"{half}.mid.attn_1.norm", f"{attention}.group_norm")
    for theirs, ours in (("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
        pieces.append(Piece(f"{half}.mid.attn_1.{theirs}.weight", (f"{attention}.{ours}.weight",), "square"))
        pieces.append(Piece(f"{half}.mid.attn_1.{theirs}.bias", (f"{attention}.{ours}.bias",)))
    return pieces


def _residual(released: str, ours: str, *, widens: bool = False) -> list[Piece]:
    """One residual block of the autoencoder; with a shortcut where the width changes."""
    pieces = [piece for name in ("norm1", "conv1", "norm2", "conv2") for piece in _both(f"{released}.{name}", f"{ours}.{name}")]
    return pieces + (_both(f"{released}.nin_shortcut", f"{ours}.conv_shortcut") if widens else [])


def prior_layout(config: NetworkConfig, ours: Sequence[str]) -> Layout:
    """A SwinIR checkpoint beside spandrel's SwinIR: equal but for the first convolution behind the unshuffle.

    Args:
        config: sizes.
        ours: names of the module's tensors.

    Raises:
        ValueError: the prior is not of the released kind.
    """
    if config.prior.kind != "swinir":
        raise ValueError("Only a prior of kind 'swinir' has a released layout; keep the miniature's in its own file.")
    if config.prior.swinir.unshuffle == 1:
        return [Piece(name, (name,)) for name in ours]
    return [Piece(name.replace("conv_first.", "conv_first.1."), (name,)) for name in ours]
