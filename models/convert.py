"""Key layouts of the released weight files, renamed to the modules here.

The released second branch is called `ldr`; only this file knows that name. Nothing is dropped silently: a key without
a rule is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]
Rule = tuple[str, str | Callable[[re.Match[str], Tensor], State]]


def _split(names: tuple[str, ...]) -> Callable[[re.Match[str], Tensor], State]:
    """Cut one joined tensor into equal parts; names take the groups of the key."""

    def cut(match: re.Match[str], joined: Tensor) -> State:
        parts = joined.chunk(len(names))
        return {match.expand(name): part for name, part in zip(names, parts, strict=True)}

    return cut


def _split_single(match: re.Match[str], joined: Tensor) -> State:
    """Cut linear1 of a single block into query, key, value and the MLP, which is whatever is left of it."""
    width = joined.shape[1] if joined.ndim == 2 else joined.shape[0] // 7
    prefix, kind = f"single_transformer_blocks.{match[1]}", match[2]
    sizes = [width, width, width, joined.shape[0] - 3 * width]
    names = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
    return {f"{prefix}.{name}.{kind}": part for name, part in zip(names, torch.split(joined, sizes), strict=True)}


def _swap_halves(match: re.Match[str], joined: Tensor) -> State:
    """The last norm keeps (shift, scale) in one layout and (scale, shift) in the other."""
    shift, scale = joined.chunk(2)
    return {f"norm_out.linear.{match[1]}": torch.cat([scale, shift])}


def _double(target: str) -> tuple[Rule, ...]:
    """Rules of the double blocks, for a module list of this name."""
    block = r"^double_blocks\.(\d+)\."
    to = rf"{target}.\1"
    image_parts = tuple(rf"{to}.attn.{name}.\2" for name in ("to_q", "to_k", "to_v"))
    text_parts = tuple(rf"{to}.attn.{name}.\2" for name in ("add_q_proj", "add_k_proj", "add_v_proj"))
    return (
        (block + r"img_mod\.lin\.(.*)", rf"{to}.norm1.linear.\2"),
        (block + r"txt_mod\.lin\.(.*)", rf"{to}.norm1_context.linear.\2"),
        (block + r"img_attn\.qkv\.(.*)", _split(image_parts)),
        (block + r"txt_attn\.qkv\.(.*)", _split(text_parts)),
        (block + r"img_attn\.proj\.(.*)", rf"{to}.attn.to_out.0.\2"),
        (block + r"txt_attn\.proj\.(.*)", rf"{to}.attn.to_add_out.\2"),
        (block + r"img_attn\.norm\.query_norm\.scale", rf"{to}.attn.norm_q.weight"),
        (block + r"img_attn\.norm\.key_norm\.scale", rf"{to}.attn.norm_k.weight"),
        (block + r"txt_attn\.norm\.query_norm\.scale", rf"{to}.attn.norm_added_q.weight"),
        (block + r"txt_attn\.norm\.key_norm\.scale", rf"{to}.attn.norm_added_k.weight"),
        (block + r"img_mlp\.0\.(.*)", rf"{to}.ff.net.0.proj.\2"),
        (block + r"img_mlp\.2\.(.*)", rf"{to}.ff.net.2.\2"),
        (block + r"txt_mlp\.0\.(.*)", rf"{to}.ff_context.net.0.proj.\2"),
        (block + r"txt_mlp\.2\.(.*)", rf"{to}.ff_context.net.2.\2"),
    )


_EMBEDDERS: tuple[Rule, ...] = tuple(
    (rf"^{source}\.{old}\.(.*)", rf"time_text_embed.{target}.{new}.\1")
    for source, target in (("time_in", "timestep_embedder"), ("vector_in", "text_embedder"), ("guidance_in", "guidance_embedder"))
    for old, new in (("in_layer", "linear_1"), ("out_layer", "linear_2"))
)
BACKBONE_RULES: tuple[Rule, ...] = (
    (r"^img_in\.(.*)", r"x_embedder.\1"),
    (r"^txt_in\.(.*)", r"context_embedder.\1"),
    *_EMBEDDERS,
    *_double("transformer_blocks"),
    (r"^single_blocks\.(\d+)\.modulation\.lin\.(.*)", r"single_transformer_blocks.\1.norm.linear.\2"),
    (r"^single_blocks\.(\d+)\.linear1\.(.*)", _split_single),
    (r"^single_blocks\.(\d+)\.linear2\.(.*)", r"single_transformer_blocks.\1.proj_out.\2"),
    (r"^single_blocks\.(\d+)\.norm\.query_norm\.scale", r"single_transformer_blocks.\1.attn.norm_q.weight"),
    (r"^single_blocks\.(\d+)\.norm\.key_norm\.scale", r"single_transformer_blocks.\1.attn.norm_k.weight"),
    (r"^final_layer\.linear\.(.*)", r"proj_out.\1"),
    (r"^final_layer\.adaLN_modulation\.1\.(.*)", _swap_halves),
)
BRANCH_RULES: tuple[Rule, ...] = (
    *_EMBEDDERS,
    *_double("double_blocks"),
    (r"^((?:img_in|txt_in|pos_embed_input|input_hint_block|controlnet_blocks)\..*)", r"\1"),
)


def rename(state: Mapping[str, Tensor], rules: tuple[Rule, ...]) -> State:
    """Apply the first rule that fits each key.

    Raises:
        ValueError: a key fits no rule.
    """
    renamed: State = {}
    for key, tensor in state.items():
        for pattern, target in rules:
            match = re.match(pattern, key)
            if match:
                renamed |= {match.expand(target): tensor} if isinstance(target, str) else target(match, tensor)
                break
        else:
            raise ValueError(f"No rule for the weight {key!r}; expected a file in the layout of the public release.")
    return renamed


def backbone_state(released: Mapping[str, Tensor]) -> State:
    """Black Forest Labs layout to diffusers' FluxTransformer2DModel."""
    return rename(released, BACKBONE_RULES)


def adapter_state(released: Mapping[str, Tensor]) -> State:
    """Released LucidFlux layout (outer and inner key joined by a dot) to `models.lucidflux.Adapter`."""
    state: State = {}
    for outer, own, rules in (
        ("condition_lq", "condition_lq", BRANCH_RULES),
        ("condition_ldr", "condition_lrp", BRANCH_RULES),
        ("modulation_lq", "modulation_lq", ((r"^(.*)$", r"\1"),)),
        ("modulation_ldr", "modulation_lrp", ((r"^(.*)$", r"\1"),)),
        ("connector", "connector", ((r"^(.*)$", r"\1"),)),
    ):
        inner = {key.removeprefix(f"{outer}."): value for key, value in released.items() if key.startswith(f"{outer}.")}
        state |= {f"{own}.{key}": value for key, value in rename(inner, rules).items()}
    return state
