"""A problem that an engine solves in microseconds: samples by counter, one linear layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from components.train.order import draw
from components.train.settings import TrainSettings


@dataclass(frozen=True)
class ToyBatch:
    pairs: tuple[str, ...]
    x: torch.Tensor


class Toy(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(6, 5)
        self.second = nn.Linear(5, 3)

    def forward(self, batch):
        return (self.second(torch.tanh(self.first(batch.x))) - batch.x[:, :3] * 2).square().mean(1)


def toy_batch(samples):
    return ToyBatch(
        pairs=tuple(f"pair-{sample}" for sample in samples),
        x=torch.stack([torch.from_numpy(draw(0, sample, 1, 6).noise_TD[0]) for sample in samples]),
    )


def toy_settings(**changed):
    values = {
        "steps": 12,
        "micro_batch_size": 4,
        "accumulation": 2,
        "processes": 1,
        "engine": "plain",
        "optimizer": "adamw",
        "learning_rate": 1e-2,
        "ema_decay": 0.9,
        "checkpoint_every_steps": 4,
        "precision": "fp32",
    }
    return TrainSettings(**{**values, **changed})
