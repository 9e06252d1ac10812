"""Flux's two kinds of block in evaluation, with the weights of diffusers' modules and modulation rows that are given.

The rows are the same for every picture of a batch, so LayerNorm, scale and shift are one kernel. Text tokens stand at
the origin, where the rotation is the identity, so only image tokens are rotated. What nothing reads is not computed.

Shapes: B batch, T image tokens, N text tokens, J joined tokens (text first), D width, H heads, d width of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import attend


class Projections:
    """Linears that read the same tokens; fused, they are one product over one tensor of which each weight is a part."""

    def __init__(self, linears: Sequence[nn.Linear], *, fused: bool) -> None:
        self.linears = list(linears)
        self.weight, self.bias = _fused(self.linears) if fused else (None, None)
        self.widths = [linear.out_features for linear in self.linears]

    def __call__(self, tokens_BJD: Tensor) -> list[Tensor]:
        """What each linear makes of the tokens."""
        if self.weight is None:
            return [linear(tokens_BJD) for linear in self.linears]
        return list(F.linear(tokens_BJD, self.weight, self.bias).split(self.widths, dim=-1))


class DoubleBlock:
    """A block with separate text and image streams."""

    def __init__(self, block: Any, *, fused: bool = False, last: bool = False) -> None:
        """Point to the weights.

        Args:
            block: diffusers' module.
            fused: query, key and value are one product.
            last: nothing reads the text stream after this block, so it gets neither queries nor an MLP.
        """
        self.block, self.last, attention = block, last, block.attn
        self.image = Projections([attention.to_q, attention.to_k, attention.to_v], fused=fused)
        text = [attention.add_q_proj, attention.add_k_proj, attention.add_v_proj]
        self.text = Projections(text[1:] if last else text, fused=fused)

    def __call__(
        self, image: Tensor, text: Tensor, image_rows: Tensor, text_rows: Tensor, rotary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Both streams after the block.

        Args:
            image: (B, T, D).
            text: (B, N, D).
            image_rows: (6, D) from `modulation_rows`.
            text_rows: likewise.
            rotary: [cos, sin] of the image tokens (T, 1, d/2, 2).
        """
        block, attention, size = self.block, self.block.attn, text.shape[1]
        shift, factor, gate, mlp_shift, mlp_factor, mlp_gate = image_rows.unbind()
        text_shift, text_factor, text_gate, text_mlp_shift, text_mlp_factor, text_mlp_gate = text_rows.unbind()
        q, k, v = self._heads(self.image(modulated(block.norm1.norm, image, shift, factor)))
        text_q, text_k, text_v = self._heads(self.text(modulated(block.norm1_context.norm, text, text_shift, text_factor)))
        q, k = attention.norm_q(q), attention.norm_k(k)
        if text_q is not None:
            q = torch.cat([attention.norm_added_q(text_q), q], dim=1)
        joined_k = torch.cat([attention.norm_added_k(text_k), k], dim=1)
        attended = attend(
            rotated(q, rotary, 0 if self.last else size), rotated(joined_k, rotary, size), torch.cat([text_v, v], dim=1)
        )
        own = attended if self.last else attended[:, size:]
        image = torch.addcmul(image, gate, attention.to_out[0](own))
        image = torch.addcmul(image, mlp_gate, block.ff(modulated(block.norm2, image, mlp_shift, mlp_factor)))
        if self.last:
            return image, text
        text = torch.addcmul(text, text_gate, attention.to_add_out(attended[:, :size]))
        feed = block.ff_context(modulated(block.norm2_context, text, text_mlp_shift, text_mlp_factor))
        return image, clipped(torch.addcmul(text, text_mlp_gate, feed))

    def _heads(self, parts: list[Tensor]) -> list[Any]:
        """Query, key and value (B, J, H, d); None for a query that was left out."""
        heads = [part.unflatten(-1, (-1, self.block.attn.head_dim)) for part in parts]
        return [None] * (3 - len(heads)) + heads


class SingleBlock:
    """A block over the joined stream, attention and MLP side by side."""

    def __init__(self, block: Any, *, fused: bool = False, last: bool = False) -> None:
        """Point to the weights; the last block gives the image tokens alone."""
        self.block, self.last, attention = block, last, block.attn
        self.whole = Projections([attention.to_k, attention.to_v], fused=fused)
        self.wanted = Projections([attention.to_q, block.proj_mlp], fused=fused)

    def __call__(self, joined: Tensor, size: int, rows: Tensor, rotary: Tensor) -> Tensor:
        """Joined stream (B, J, D) after the block; (B, T, D) after the last.

        Args:
            joined: (B, J, D).
            size: text tokens N at its beginning.
            rows: (3, D) from `modulation_rows`.
            rotary: as for double blocks.
        """
        block, attention = self.block, self.block.attn
        shift, factor, gate = rows.unbind()
        left_out = size if self.last else 0
        normed = modulated(block.norm.norm, joined, shift, factor)
        k, v = (part.unflatten(-1, (-1, attention.head_dim)) for part in self.whole(normed))
        q, feed = self.wanted(normed[:, left_out:])
        q = attention.norm_q(q.unflatten(-1, (-1, attention.head_dim)))
        attended = attend(rotated(q, rotary, size - left_out), rotated(attention.norm_k(k), rotary, size), v)
        change = block.proj_out(torch.cat([attended, block.act_mlp(feed)], dim=2))
        return clipped(torch.addcmul(joined[:, left_out:], gate, change))


def modulation_rows(linear: nn.Linear, vector_SD: Tensor) -> Tensor:
    """Rows (S, 3 or 6, D) that a norm's linear makes: shift, 1 + scale, gate, and again for the MLP of double blocks."""
    rows: Tensor = linear(F.silu(vector_SD)).unflatten(1, (-1, vector_SD.shape[1]))
    rows[:, 1::3] += 1
    return rows


def modulated(norm: nn.LayerNorm, tokens_BJD: Tensor, shift_D: Tensor, factor_D: Tensor) -> Tensor:
    """LayerNorm(tokens) * factor + shift."""
    return F.layer_norm(tokens_BJD, tokens_BJD.shape[-1:], factor_D, shift_D, norm.eps)


def rotated(tokens_BJHd: Tensor, rotary: Tensor, start: int) -> Tensor:
    """Rotate adjacent pairs of the tokens from `start` on; in place where nothing is compiled."""
    pairs = tokens_BJHd[:, start:].unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        (x, y), (cos, sin) = pairs.float().unbind(-1), rotary.unbind(-1)
        turned = torch.stack([x * cos - y * sin, x * sin + y * cos], dim=-1).flatten(-2).to(tokens_BJHd.dtype)
        return torch.cat([tokens_BJHd[:, :start], turned], dim=1)
    product = torch.view_as_complex(pairs.float()).mul_(torch.view_as_complex(rotary))
    if pairs.dtype != torch.float32:
        pairs.copy_(torch.view_as_real(product))
    return tokens_BJHd


def clipped(tokens_BJD: Tensor) -> Tensor:
    """Keep float16 finite, as diffusers' blocks do."""
    return tokens_BJD.clip(-65504, 65504) if tokens_BJD.dtype == torch.float16 else tokens_BJD


@torch.no_grad()
def _fused(linears: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """One weight and one bias for all; the linears' own become views of them, so that nothing is held twice."""
    joined = []
    for name in ("weight", "bias"):
        parts = [getattr(linear, name) for linear in linears]
        ends = [part.data_ptr() + part.numel() * part.element_size() for part in parts]
        if all(end == part.data_ptr() for end, part in zip(ends, parts[1:], strict=False)):
            shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
            whole = parts[0].as_strided(shape, parts[0].stride())
        else:
            whole = torch.cat([part.detach() for part in parts])
            for part, view in zip(parts, whole.split([len(part) for part in parts]), strict=True):
                part.data = view
        joined.append(whole)
    return joined[0], joined[1]
