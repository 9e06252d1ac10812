"""Resizing as the released program does it: Pillow, on 8 bits.

Shapes: B batch, H W height and width, S side of the square that the image encoder sees.
"""

from __future__ import annotations

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor


def encoder_square(image_01_BCHW: Tensor, side: int, *, eight_bit: bool = True) -> Tensor:
    """Picture in [0, 1] to what the image encoder sees, (B, 3, S, S) in [-1, 1]; the aspect ratio is not kept (released).

    Args:
        image_01_BCHW: any size.
        side: of the square.
        eight_bit: as released: floor to 255 levels, Pillow's bilinear on 8 bits, on the processor. False stays in floats
            on the device.
    """
    if not eight_bit:
        seen = F.interpolate(image_01_BCHW, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        return seen * 2 - 1
    levels = (image_01_BCHW.float().clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    squares = [np.asarray(PIL.Image.fromarray(image).resize((side, side), PIL.Image.Resampling.BILINEAR)) for image in levels]
    seen_u8 = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
    return ((seen_u8.float() / 255 - 0.5) / 0.5).to(image_01_BCHW)


def resized_lq(image_u8_HWC: Tensor, height_px: int, width_px: int) -> Tensor:
    """LQ to the size of the released program's canvas, (1, 3, H, W) in [-1, 1], by Pillow's bicubic."""
    image = PIL.Image.fromarray(image_u8_HWC.numpy()).resize((width_px, height_px), PIL.Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1
