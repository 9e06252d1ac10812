"""What is minimised: the error of the velocity, and the terms on pixels where the settings ask for them.

Shapes: B batch, T tokens, D values per token.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from components.train.settings import TrainSettings
from models.bundle import FrozenParts
from models.lucidflux import Adapter, velocity
from models.objective import (
    gradient_error,
    mix,
    one_step_x0,
    pixel_error,
    sample_time,
    shift_time,
    told_time,
    velocity_error,
)

if TYPE_CHECKING:
    from components.train.batches import Batch

VELOCITY = "velocity"


class Listener(Protocol):
    """Hears what every forward pass gave."""

    def add(self, t_B: Tensor, errors: dict[str, Tensor]) -> None:
        """Take the times and, by term, the unweighted errors (B,) of one batch."""

    def take(self) -> dict[str, Any]:
        """Figures of what came since the last call; every process must call it."""


def flow_time(settings: TrainSettings, normal_B: Tensor, uniform_B: Tensor, crop_BCHW: Tensor) -> Tensor:
    """Flow times of some samples, as the settings draw and bend them.

    Args:
        settings: of the run.
        normal_B: standard normal numbers.
        uniform_B: uniform numbers in [0, 1).
        crop_BCHW: the pictures; only their size counts.
    """
    t_B = sample_time(settings.time_sampling, normal_B, uniform_B, settings.time_mean, settings.time_std)
    return shift_time(t_B, settings.time_shift, crop_BCHW.shape[-2], crop_BCHW.shape[-1])


class Objective(nn.Module):
    """The adapter with its loss, so that an engine sees one module; the frozen parts are no submodules of it."""

    def __init__(self, adapter: Adapter, frozen: FrozenParts, settings: TrainSettings, listener: Listener | None = None) -> None:
        super().__init__()
        self.adapter = adapter
        self.frozen = frozen
        self.settings = settings
        self.listener = listener

    def forward(self, batch: Batch) -> Tensor:
        """Loss per sample (B,), in float32."""
        x_t_BTD = mix(batch.x0_BTD, batch.noise_BTD, batch.t_B)
        with self._precision():
            v_BTD = self._velocity(self.adapter, x_t_BTD, batch)
        errors = {VELOCITY: velocity_error(v_BTD, batch.x0_BTD, batch.noise_BTD).float()}
        loss_B = errors[VELOCITY]
        if self.settings.sees_hq:
            errors |= self._pixel_errors(x_t_BTD, v_BTD.float(), batch)
            loss_B = loss_B + self.settings.pixel_weight * errors["pixel"] + self.settings.gradient_weight * errors["gradient"]
        if self.listener is not None:
            self.listener.add(batch.t_B, {name: error_B.detach() for name, error_B in errors.items()})
        return loss_B

    def _velocity(self, adapter: Adapter | None, x_t_BTD: Tensor, batch: Batch) -> Tensor:
        told_B = told_time(self.settings.time_sampling, batch.t_B)
        return velocity(adapter, self.frozen, x_t_BTD, told_B, batch.condition, self.settings.guidance)

    def _pixel_errors(self, x_t_BTD: Tensor, v_BTD: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Errors of the picture that one step gives, in float32; a batch without HQ is a defect."""
        assert batch.hq_u8 is not None
        hq_pm1 = batch.hq_u8.float() / 127.5 - 1
        x0_BTD = one_step_x0(x_t_BTD, v_BTD, batch.t_B)
        image_pm1 = self.frozen.decode_through(x0_BTD, batch.condition.height_px, batch.condition.width_px)
        return {"pixel": pixel_error(image_pm1, hq_pm1), "gradient": gradient_error(image_pm1, hq_pm1)}

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
        with_control, without = (self._velocity(adapter, x_t_BTD, batch).float() for adapter in (self.adapter, None))
        rms = float(without.square().mean().sqrt())
        change = float((with_control - without).square().mean().sqrt())
        return {"velocity_rms": rms, "control_rms": change, "control_share": change / rms}
