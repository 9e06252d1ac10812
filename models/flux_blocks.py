"""FLUX's two kinds of block along a fixed schedule, on the weights of diffusers' unmodified blocks.

Shapes: S steps, B batch, T image tokens, N text tokens, D width, H heads, d width of a head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import attend

Rows = tuple[Tensor, ...]
EPS = 1e-6
HALF_LIMIT = 65_504
"""Largest float16; diffusers clips the streams there, and only in float16."""


def table(linear: nn.Module, vector_SD: Tensor, factors: Sequence[int], parts: int) -> Rows:
    """Shifts, scales and gates (S, D) of every step; those at `factors` become 1 + scale."""
    rows = linear(vector_SD).chunk(parts, dim=1)
    return tuple(1 + row if index in factors else row for index, row in enumerate(rows))


def normalised(x_BTD: Tensor) -> Tensor:
    """LayerNorm without weights."""
    return F.layer_norm(x_BTD, x_BTD.shape[-1:], eps=EPS)


def modulated(x_BTD: Tensor, shift_D: Tensor, factor_D: Tensor) -> Tensor:
    """LayerNorm, then factor and shift, which all pictures share: one kernel."""
    return F.layer_norm(x_BTD, x_BTD.shape[-1:], factor_D, shift_D, EPS)


def rotated(x_BTHd: Tensor, rotary_T1d: Tensor) -> Tensor:
    """Turn neighbouring pairs of values of the last tokens, as many as there are angles, in place."""
    image = x_BTHd[:, x_BTHd.shape[1] - len(rotary_T1d) :]
    pairs = image.float().view(*image.shape[:-1], -1, 2)  # of the tokens themselves where they are float32
    turned = torch.view_as_complex(pairs).mul_(rotary_T1d)
    if image.dtype != torch.float32:
        image.copy_(torch.view_as_real(turned).flatten(-2))
    return x_BTHd


def clipped(x_BTD: Tensor) -> Tensor:
    """Keep float16 finite, as diffusers does."""
    return x_BTD.clip(-HALF_LIMIT, HALF_LIMIT) if x_BTD.dtype == torch.float16 else x_BTD


class Joined:
    """Linear layers that see the same tokens: one after the other, or as one product."""

    def __init__(self, layers: Sequence[Any], *, fused: bool) -> None:
        self.layers = list(layers)
        self.sizes: list[int] = [layer.out_features for layer in layers]
        self.weight = torch.cat([layer.weight for layer in layers]) if fused else None
        self.bias = torch.cat([layer.bias for layer in layers]) if fused else None

    def __call__(self, x_BTD: Tensor) -> Sequence[Tensor]:
        """One result per layer."""
        if self.weight is None:
            return [layer(x_BTD) for layer in self.layers]
        return torch.split(F.linear(x_BTD, self.weight, self.bias), self.sizes, dim=-1)


class _Block(ABC):
    """A block whose forward may be compiled."""

    head: int
    compiled = False

    def compile(self, backend: str | None) -> None:
        """Compile the step; None leaves it as it is."""
        if backend is not None:
            self.compiled = True
            self._step = torch.compile(self._step, backend=backend, dynamic=True)  # type: ignore[method-assign]

    def _head(self, x_BTD: Tensor) -> Tensor:
        """Split the width into heads (B, T, H, d)."""
        return x_BTD.reshape(*x_BTD.shape[:-1], -1, self.head)

    def _at(self, rows: Rows, step: int) -> Sequence[Tensor]:
        """Rows of a step; a compiler gets them as one tensor of its own, because it would compile every offset anew."""
        chosen = [row[step] for row in rows]
        return torch.stack(chosen).unbind() if self.compiled else chosen

    @abstractmethod
    def _step(self, *arguments: Any) -> Any:
        """Compute what the block gives, from tensors alone."""


class DoubleBlock(_Block):
    """A block with separate streams for image and text."""

    def __init__(self, block: Any, vector_SD: Tensor, *, fused: bool, text_tail: bool = True) -> None:
        """Build the tables.

        Args:
            block: diffusers' block.
            vector_SD: SiLU of the embedded moment of every step.
            fused: one product for query, key and value.
            text_tail: False leaves out what only the text stream after this block would need.
        """
        self.block, self.text_tail = block, text_tail
        attention = block.attn
        self.head = attention.head_dim
        self.image_qkv = Joined([attention.to_q, attention.to_k, attention.to_v], fused=fused)
        self.text_qkv = Joined([attention.add_q_proj, attention.add_k_proj, attention.add_v_proj], fused=fused)
        # shift, factor, gate of the attention, then of the MLP
        self.image_rows = table(block.norm1.linear, vector_SD, (1, 4), 6)
        self.text_rows = table(block.norm1_context.linear, vector_SD, (1, 4), 6)

    def __call__(self, step: int, image_BTD: Tensor, text_BND: Tensor, rotary_T1d: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams after this block."""
        rows = self._at(self.image_rows, step), self._at(self.text_rows, step)
        streams: tuple[Tensor, Tensor] = self._step(image_BTD, text_BND, rotary_T1d, *rows)
        return streams

    def _step(
        self, image: Tensor, text: Tensor, rotary: Tensor, image_rows: Sequence[Tensor], text_rows: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor]:
        attention, size = self.block.attn, text.shape[1]
        q, k, v = self._heads(self.image_qkv(modulated(image, image_rows[0], image_rows[1])))
        q, k = rotated(attention.norm_q(q), rotary), rotated(attention.norm_k(k), rotary)
        text_q, text_k, text_v = self._heads(self.text_qkv(modulated(text, text_rows[0], text_rows[1])))
        text_k, v = attention.norm_added_k(text_k), torch.cat([text_v, v], dim=1)
        k = torch.cat([text_k, k], dim=1)
        if not self.text_tail:
            mixed = attend(q, k, v)
            return self._after(image, attention.to_out[0](mixed), self.block.ff, image_rows), text
        mixed = attend(torch.cat([attention.norm_added_q(text_q), q], dim=1), k, v)
        image = self._after(image, attention.to_out[0](mixed[:, size:]), self.block.ff, image_rows)
        text = self._after(text, attention.to_add_out(mixed[:, :size]), self.block.ff_context, text_rows)
        return image, clipped(text)

    def _heads(self, qkv: Sequence[Tensor]) -> list[Tensor]:
        return [self._head(tensor) for tensor in qkv]

    @staticmethod
    def _after(stream: Tensor, mixed: Tensor, feed: nn.Module, rows: Sequence[Tensor]) -> Tensor:
        """Add the attention's part, then the MLP's."""
        stream = torch.addcmul(stream, rows[2], mixed)
        return torch.addcmul(stream, rows[5], feed(modulated(stream, rows[3], rows[4])))


class SingleBlock(_Block):
    """A block over the joined stream."""

    def __init__(self, block: Any, vector_SD: Tensor, *, fused: bool) -> None:
        """Build the tables; arguments as for `DoubleBlock`."""
        self.block = block
        self.head = block.attn.head_dim
        self.of_all = Joined([block.attn.to_k, block.attn.to_v], fused=fused)
        self.of_kept = Joined([block.attn.to_q, block.proj_mlp], fused=fused)
        self.rows = table(block.norm.linear, vector_SD, (1,), 3)

    def __call__(self, step: int, joined_BTD: Tensor, rotary_T1d: Tensor, dropped: int) -> Tensor:
        """The joined stream after this block, without its first `dropped` tokens."""
        stream: Tensor = self._step(joined_BTD, rotary_T1d, dropped, self._at(self.rows, step))
        return stream

    def _step(self, joined: Tensor, rotary: Tensor, dropped: int, rows: Sequence[Tensor]) -> Tensor:
        attention = self.block.attn
        shift, factor, gate = rows
        seen = modulated(joined, shift, factor)
        k, v = (self._head(tensor) for tensor in self.of_all(seen))
        q, inner = self.of_kept(seen[:, dropped:])
        q, k = rotated(attention.norm_q(self._head(q)), rotary), rotated(attention.norm_k(k), rotary)
        out = self.block.proj_out(torch.cat([attend(q, k, v), F.gelu(inner, approximate="tanh")], dim=-1))
        return clipped(torch.addcmul(joined[:, dropped:], gate, out))
