"""One forward pass' worth of samples: features of the pairs, noise and time.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from components.train.data import FeatureSource
from components.train.order import Order, draw, pair_of
from components.train.settings import TrainSettings
from models.bundle import FrozenParts
from models.lucidflux import Adapter, Condition, velocity
from models.objective import flow_matching_loss, mix, sample_time


@dataclass(frozen=True)
class Batch:
    """What the objective is computed on."""

    pairs: tuple[str, ...]
    """Ids of the pairs, for messages."""
    x0_BTD: Tensor
    noise_BTD: Tensor
    t_B: Tensor
    condition: Condition


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
            t_B=sample_time(self.settings.time_sampling, normal_B, uniform_B),
            condition=Condition(
                hint_lq_pm1=lq_pm1,
                hint_lrp_pm1=lrp_pm1,
                features_BSE=taken["features_BSE"],
                height_px=lq_pm1.shape[2],
                width_px=lq_pm1.shape[3],
            ),
        )


def _channels_last(image_BCHW: Tensor) -> Tensor:
    """The layout in which the hint convolutions are a quarter faster on processors."""
    return image_BCHW.contiguous(memory_format=torch.channels_last)


class Objective(nn.Module):
    """The adapter with its loss, so that an engine sees one module; the frozen parts are no submodules of it."""

    def __init__(self, adapter: Adapter, frozen: FrozenParts, settings: TrainSettings) -> None:
        super().__init__()
        self.adapter = adapter
        self.frozen = frozen
        self.settings = settings

    def forward(self, batch: Batch) -> Tensor:
        """Loss per sample (B,), in float32."""
        with self._precision():
            loss_B: Tensor = flow_matching_loss(
                self.adapter, self.frozen, batch.x0_BTD, batch.noise_BTD, batch.t_B, batch.condition, self.settings.guidance
            )
        return loss_B.float()

    @contextlib.contextmanager
    def _precision(self) -> Iterator[None]:
        if self.settings.precision == "fp32":
            yield
            return
        kind = self.frozen.device.type
        # torch's fused attention is six times slower in bfloat16 than in float32 on processors; the unfused one is not
        attention = sdpa_kernel(SDPBackend.MATH) if kind == "cpu" else contextlib.nullcontext()
        with attention, torch.autocast(kind, dtype=torch.bfloat16):
            yield

    @torch.no_grad()
    def control_size(self, batch: Batch) -> dict[str, float]:
        """How much the adapter changes the backbone's velocity: root mean squares of velocity and difference."""
        x_t_BTD = mix(batch.x0_BTD, batch.noise_BTD, batch.t_B)
        with_control, without = (
            velocity(adapter, self.frozen, x_t_BTD, batch.t_B, batch.condition, self.settings.guidance).float()
            for adapter in (self.adapter, None)
        )
        rms = float(without.square().mean().sqrt())
        change = float((with_control - without).square().mean().sqrt())
        return {"velocity_rms": rms, "control_rms": change, "control_share": change / rms}
