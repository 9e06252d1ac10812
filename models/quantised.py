"""Weights of the blocks in 8 or 4 bits, made whole again for each product (mode `low`).

A product over thousands of tokens costs far more than making its weight, so this needs no kernels of its own, and runs on
every device. It loses precision: `quantise` says how much of the weights, a comparison of pictures how much of the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Weights = Literal["int8", "int4"]
"""`int8`: a scale for each output; `int4`: a scale and a lowest value for each output and GROUP inputs."""
GROUP = 64
"""Inputs that share a scale in `int4`; adds 1/16 byte to each weight's 1/2 in bfloat16."""


class QuantisedLinear(nn.Module):
    """A linear layer whose weight is kept in few bits.

    Shapes: O outputs, I inputs, G = I / GROUP.
    """

    def __init__(self, layer: nn.Linear, weights: Weights) -> None:
        super().__init__()
        self.in_features, self.out_features, self.kind = layer.in_features, layer.out_features, weights
        self.bias = layer.bias
        weight_OI = layer.weight.detach()
        lowest: Tensor | None = None
        if weights == "int8":
            scale = weight_OI.abs().amax(dim=1, keepdim=True) / 127
            codes = _codes(weight_OI, scale, -127, 127).to(torch.int8)
        else:
            grouped_OGI = weight_OI.reshape(len(weight_OI), -1, GROUP)
            lowest = grouped_OGI.amin(dim=2, keepdim=True)
            scale = (grouped_OGI.amax(dim=2, keepdim=True) - lowest) / 15
            low, high = _codes(grouped_OGI - lowest, scale, 0, 15).to(torch.uint8).chunk(2, dim=2)
            codes = low | high << 4
        self.codes: Tensor
        self.scale: Tensor
        self.lowest: Tensor | None
        for name, tensor in {"codes": codes, "scale": scale, "lowest": lowest}.items():
            self.register_buffer(name, tensor)

    def whole(self) -> Tensor:
        """The weight that multiplies, in the element type of its scale."""
        if self.lowest is None:
            return self.codes.to(self.scale.dtype).mul_(self.scale)
        grouped_OGI = self.scale.new_empty(*self.codes.shape[:2], GROUP)
        grouped_OGI[..., : GROUP // 2] = self.codes & 15
        grouped_OGI[..., GROUP // 2 :] = self.codes >> 4
        return grouped_OGI.mul_(self.scale).add_(self.lowest).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """As nn.Linear."""
        return F.linear(x, self.whole(), self.bias)


def _codes(values: Tensor, scale: Tensor, smallest: int, largest: int) -> Tensor:
    """Nearest multiples of the scale; a row of zeros has scale 0 and code 0."""
    return (values / scale.clamp_min(torch.finfo(scale.dtype).tiny)).round_().clamp_(smallest, largest)


def chosen(name: str, shape: tuple[int, ...], weights: Weights) -> bool:
    """Whether a tensor of the backbone or the adapter is quantised: the products of the blocks over tokens.

    Embeddings and the last projection are small and decide much; the linears of adaptive norms (which diffusers calls
    `linear`) are read once per schedule.
    """
    fits = len(shape) == 2 and (weights == "int8" or shape[1] % GROUP == 0)
    return fits and "blocks." in name and name.endswith(".weight") and not is_modulation(name)


def is_modulation(name: str) -> bool:
    """Whether a tensor belongs to what makes scales, shifts and gates: read in no step of the mode `exact`."""
    return name.rpartition(".")[0].endswith(".linear") or name.startswith("modulation_") or "time_text_embed." in name


def quantised_bytes(shape: tuple[int, ...], weights: Weights, element_bytes: int) -> int:
    """Bytes of a quantised weight with its scales."""
    rows, columns = shape
    if weights == "int8":
        return rows * (columns + element_bytes)
    return rows * (columns // 2 + 2 * element_bytes * columns // GROUP)


@torch.no_grad()
def quantise(modules: Mapping[str, nn.Module], weights: Weights, device: torch.device) -> float:
    """Replace what is `chosen` in each module, one layer after the other; computed on the device, left on the processor.

    Returns:
        Relative change of the weights: root of the summed squares of the changes over that of the weights.
    """
    changed = total = 0.0
    for module in modules.values():
        for parent, name, layer in list(chosen_layers(module, weights)):
            before = layer.to(device).weight.detach()
            quantised = QuantisedLinear(layer, weights)
            changed += float((quantised.whole() - before).float().square().sum())
            total += float(before.float().square().sum())
            setattr(parent, name, quantised.to("cpu"))
    return math.sqrt(changed / total) if total else 0.0


def chosen_layers(module: nn.Module, weights: Weights) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """(parent, name in it, layer) of each layer whose weight is `chosen`."""
    for path, parent in module.named_modules():
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear) and chosen(f"{path}.{name}.weight", tuple(layer.weight.shape), weights):
                yield parent, name, layer
