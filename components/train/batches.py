"""One forward pass' worth of samples: features of the pairs, noise and time.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from components.train.data import FeatureSource
from components.train.objective import flow_time
from components.train.order import Order, draw, pair_of
from components.train.settings import TrainSettings
from models.lucidflux import Condition


@dataclass(frozen=True)
class Batch:
    """What the objective is computed on."""

    pairs: tuple[str, ...]
    """Ids of the pairs, for messages."""
    x0_BTD: Tensor
    noise_BTD: Tensor
    t_B: Tensor
    condition: Condition
    hq_u8: Tensor | None = None
    """HQ (B, 3, H, W), where the loss looks at pixels."""


@dataclass(frozen=True)
class Batches:
    """Makes the batch of any samples of a run."""

    ids: Sequence[str]
    """Pair ids, in the order of the manifest."""
    features: FeatureSource
    settings: TrainSettings
    device: torch.device
    order: Order | None = None
    """Of the rows; None for pairs of one size."""

    def pairs(self, samples: range) -> list[int]:
        """Rows of the samples' pairs."""
        if self.order is not None:
            return self.order.rows(samples)
        return [pair_of(self.settings.seed, sample, len(self.ids)) for sample in samples]

    def make(self, samples: range) -> Batch:
        """Look up the features and draw noise and times."""
        rows = self.pairs(samples)
        taken = {name: tensor.to(self.device, non_blocking=True) for name, tensor in self.features.take(rows).items()}
        tokens, values = taken["x0_BTD"].shape[1:]
        draws = [draw(self.settings.seed, sample, tokens, values) for sample in samples]
        normal_B, uniform_B = (
            torch.tensor([getattr(one, name) for one in draws], device=self.device) for name in ("normal", "uniform")
        )
        lq_pm1, lrp_pm1 = (
            _channels_last(image) for image in (taken["lq_u8"].float() / 127.5 - 1, taken["lrp_01"].float() * 2 - 1)
        )
        return Batch(
            pairs=tuple(self.ids[row] for row in rows),
            x0_BTD=taken["x0_BTD"],
            noise_BTD=torch.stack([torch.from_numpy(one.noise_TD) for one in draws]).to(self.device),
            t_B=flow_time(self.settings, normal_B, uniform_B, lq_pm1),
            condition=Condition(
                hint_lq_pm1=lq_pm1,
                hint_lrp_pm1=lrp_pm1,
                features_BSE=taken["features_BSE"],
                height_px=lq_pm1.shape[2],
                width_px=lq_pm1.shape[3],
            ),
            hq_u8=taken.get("hq_u8"),
        )


def _channels_last(image_BCHW: Tensor) -> Tensor:
    """The layout in which the hint convolutions are a quarter faster on processors."""
    return image_BCHW.contiguous(memory_format=torch.channels_last)
