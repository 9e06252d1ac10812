"""Attention between tokens, with a choice of kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Backend = Literal["auto", "flash", "efficient", "cudnn", "math"]
"""`auto`: what torch finds fastest for the device and the element type."""
KERNELS: Mapping[str, SDPBackend] = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}
"""Name -> torch's kernel."""


@contextlib.contextmanager
def using(backend: Backend) -> Iterator[None]:
    """Hold attention to one kernel.

    Raises:
        ValueError: unknown kernel, or one that does not take these tensors on this device.
    """
    if backend == "auto":
        yield
        return
    if backend not in KERNELS:
        raise ValueError(f"Unknown attention kernel {backend!r}; choose auto, {', '.join(KERNELS)}.")
    try:
        with sdpa_kernel(KERNELS[backend]):
            yield
    except RuntimeError as error:
        if "kernel" not in str(error).lower():
            raise
        raise ValueError(f"Attention kernel {backend!r} does not take these tensors ({error}). Choose auto.") from error


def attend(q_BTHd: Tensor, k_BTHd: Tensor, v_BTHd: Tensor) -> Tensor:
    """Softmax attention without mask, (B, T, H * d)."""
    q, k, v = (tensor.transpose(1, 2) for tensor in (q_BTHd, k_BTHd, v_BTHd))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
