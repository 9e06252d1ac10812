"""What travels from one step to the next on a device.

Shapes: C = 3 channels, H rows, W columns; a kernel has K rows and columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.imaging.degrade.carrier import Image


def upload(values: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Bring an array to the device; where that is a GPU, the processor does not wait for it."""
    # a copy: torch takes neither arrays that may not be written to nor mirrored ones
    tensor = torch.from_numpy(np.array(values, order="C"))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def upload_picture(image: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Bring (H, W, C) to the device as (C, H, W), of the same type."""
    return upload(image, device).permute(2, 0, 1).contiguous()


def download_picture(image_CHW: Tensor) -> Any:
    """Bring (C, H, W) to the processor as (H, W, C)."""
    return np.ascontiguousarray(image_CHW.permute(1, 2, 0).cpu().numpy())


def to_image(image_CHW: Tensor) -> Tensor:
    """Round half to even and clip, (C, H, W) float32 to uint8."""
    return image_CHW.round().clamp(0, 255).to(torch.uint8)


def to_pixels(image_u8: Image, device: torch.device) -> Tensor:
    """Leave the integers, (H, W, C) uint8 to (C, H, W) float32 on the device."""
    return upload_picture(image_u8, device).float()
