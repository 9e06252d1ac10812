"""Packed latents and their positions (FLUX.1 layout).

Shapes: B batch, C latent channels, H W latent height and width, T tokens, D values per token.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pack(z_BCHW: Tensor, packing: int = 2) -> Tensor:
    """Fold packing x packing latent cells into one token; value index = channel, row, column.

    Args:
        z_BCHW: latent with both sides multiples of `packing`.
        packing: latent cells per token and side.

    Raises:
        ValueError: a side does not divide.
    """
    B, C, H, W = z_BCHW.shape
    if H % packing or W % packing:
        raise ValueError(f"A latent of {H}x{W} cells does not divide into tokens of {packing}x{packing}; pad the picture first.")
    cells = z_BCHW.reshape(B, C, H // packing, packing, W // packing, packing)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(B, (H // packing) * (W // packing), C * packing**2)


def unpack(z_BTD: Tensor, rows: int, columns: int, packing: int = 2) -> Tensor:
    """Undo `pack` for a grid of rows x columns tokens.

    Raises:
        ValueError: the number of tokens is not rows * columns.
    """
    B, T, D = z_BTD.shape
    if rows * columns != T:
        raise ValueError(f"{T} tokens do not fill a grid of {rows}x{columns}; pass the size that was packed.")
    cells = z_BTD.reshape(B, rows, columns, D // packing**2, packing, packing)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(B, D // packing**2, rows * packing, columns * packing)


def position_ids(rows: int, columns: int, device: torch.device | str = "cpu") -> Tensor:
    """(0, row, column) for each image token in packing order, as float32 (T, 3)."""
    ids = torch.zeros(rows, columns, 3, device=device)
    ids[..., 1] = torch.arange(rows, device=device)[:, None]
    ids[..., 2] = torch.arange(columns, device=device)[None, :]
    return ids.reshape(rows * columns, 3)
