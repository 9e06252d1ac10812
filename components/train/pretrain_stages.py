"""The stages that make the miniature's frozen parts: autoencoder, prior, image encoder, backbone, decoder.

Each stage reads what the earlier ones left in the bundle directory and writes its own files there.

Shapes: B batch, C channels, H W picture height and width in px, T tokens, D values per token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.errors import SettingsError
from components.train.pretrain_decoder import train_decoder
from components.train.pretrain_loop import Loop, budget
from components.train.pretrain_workshop import CROP_PX, Workshop, bf16, gradient_loss, pairs, psnr, to_01, trainable
from models.autoencoder import SkipAutoencoder
from models.config import NetworkConfig
from models.lucidflux import Condition, prepare
from models.objective import flow_matching_loss


class StageFunction(Protocol):
    """One stage: trains and writes."""

    def __call__(self, shop: Workshop, config: NetworkConfig) -> None:
        """Train for `shop.steps` and write the stage's files."""


def train_autoencoder(shop: Workshop, config: NetworkConfig) -> None:
    """Fit the linear path in closed form, then the residual: L1 + L2 + gradients, decoder fed with a noisy latent."""
    parts = shop.parts(config, need=())
    codec = parts.autoencoder
    if not isinstance(codec, SkipAutoencoder):
        raise SettingsError("Only the `skip` autoencoder is trained here; the released one comes with its weights.")
    rng = np.random.default_rng(shop.seed)
    patches = to_01(shop.pool.batch(rng, 6000, parts.config.latent.downscale)) * 2 - 1
    codec.fit_linear(patches)
    trainable(codec)
    loop = Loop("autoencoder", [codec], budget(shop.steps, 1.5e-3), shop.work)

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        image = to_01(shop.pool.batch(rng, 8, CROP_PX)) * 2 - 1
        with bf16():
            code = codec.encode(image)
            noise = torch.randn_like(code) * (torch.rand(code.shape[0], 1, 1, 1) * 0.15)
            decoded = codec.decode(code + noise * code.detach().std()).float()
        return reconstruction_terms(decoded, image) | {"power": code.float().square().mean()}

    def step_with_penalty(rng: np.random.Generator) -> dict[str, Tensor]:
        terms = step(rng)
        # the KL divergence from a unit normal at fixed variance, so that the latent cannot outgrow its noise
        return terms | {"loss": terms["loss"] + 1e-3 * terms["power"]}

    loop.run(step_with_penalty, seed=shop.seed)
    codec.requires_grad_(requires_grad=False)
    with torch.no_grad():
        code = torch.cat([codec.encode(to_01(shop.pool.batch(rng, 32, CROP_PX)) * 2 - 1) for _ in range(6)])
    latent = parts.config.latent.model_copy(
        update={"scale": round(float(1 / code.std()), 4), "shift": round(float(code.mean()), 4)}
    )
    parts.config = parts.config.model_copy(update={"latent": latent})
    shop.keep(parts, ("autoencoder",), loop)


def reconstruction_terms(decoded_BCHW: Tensor, image_pm1_BCHW: Tensor) -> dict[str, Tensor]:
    """Loss of a reconstruction in [-1, 1] and its PSNR in dB."""
    squared = F.mse_loss(decoded_BCHW, image_pm1_BCHW)
    loss = F.l1_loss(decoded_BCHW, image_pm1_BCHW) + 2 * squared + 0.5 * gradient_loss(decoded_BCHW, image_pm1_BCHW)
    per_picture = (decoded_BCHW.detach() - image_pm1_BCHW).square().mean((1, 2, 3))
    return {"loss": loss, "psnr": (10 * torch.log10(4 / per_picture)).mean()}


def train_prior(shop: Workshop, config: NetworkConfig) -> None:
    """Teach the light restorer: L1 + a little gradient loss from LQ to HQ."""
    parts = shop.parts(config, need=(), learn=("prior",))
    trainable(parts.prior)
    loop = Loop("prior", [parts.prior], budget(shop.steps, 2e-3), shop.work)

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        hq, lq = pairs(shop, rng, 8)
        with bf16():
            lrp = parts.prior(lq).float()
        gain = psnr(lrp.detach(), hq) - psnr(lq, hq)
        return {"loss": F.l1_loss(lrp, hq) + 0.25 * gradient_loss(lrp, hq), "gain_db": gain}

    loop.run(step, seed=shop.seed)
    shop.keep(parts, ("prior",), loop)


class Contrast(torch.nn.Module):
    """Temperature and bias of the sigmoid contrastive loss (Zhai et al. 2023, the loss of SigLIP)."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = torch.nn.Parameter(torch.tensor(2.3))
        self.bias = torch.nn.Parameter(torch.tensor(-3.0))

    def forward(self, a_BE: Tensor, b_BE: Tensor) -> Tensor:
        """Each pair (i, j) is one binary question: do both views show the same crop?"""
        logits = self.log_scale.exp() * F.normalize(a_BE, dim=-1) @ F.normalize(b_BE, dim=-1).T + self.bias
        same = 2 * torch.eye(len(logits)) - 1
        return -F.logsigmoid(same * logits).sum(1).mean()


def train_encoder(shop: Workshop, config: NetworkConfig) -> None:
    """Teach the image encoder that a crop and the LRP of its LQ show the same: sigmoid contrastive loss."""
    parts = shop.parts(config, need=("prior",), learn=("encoder",))
    contrast = Contrast()
    trainable(parts.encoder)
    loop = Loop("encoder", [parts.encoder, contrast], budget(shop.steps, 1e-3), shop.work)
    side = parts.config.encoder.image_px

    def pooled(image_01: Tensor) -> Tensor:
        seen = F.interpolate(image_01, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        states: Tensor = parts.encoder(pixel_values=seen * 2 - 1).last_hidden_state
        return states.mean(1)

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        hq, lq = pairs(shop, rng, 24)
        with bf16():
            lrp = parts.lrp(lq)
            clean, degraded = pooled(hq).float(), pooled(lrp.float()).float()
        similar = F.normalize(clean.detach(), dim=-1) @ F.normalize(degraded.detach(), dim=-1).T
        return {"loss": contrast(clean, degraded), "matched": (similar.argmax(1) == torch.arange(len(hq))).float().mean()}

    loop.run(step, seed=shop.seed)
    shop.keep(parts, ("encoder",), loop)


def train_backbone(shop: Workshop, config: NetworkConfig) -> None:
    """Flow matching on HQ latents, jointly with the prompt and the connector; semantic tokens in every second step."""
    names = ("backbone", "prompt", "connector")
    parts = shop.parts(config, need=("autoencoder", "prior", "encoder"), learn=names)
    assert parts.connector is not None
    learners = (parts.backbone, parts.prompt, parts.connector)
    trainable(*learners)
    loop = Loop("backbone", learners, budget(shop.steps, 1.5e-3, ema_decay=0.998), shop.work)

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        image = to_01(shop.pool.batch(rng, 8, CROP_PX))
        x0 = parts.encode(image * 2 - 1)
        cond = Condition(image, image, parts.features(image), CROP_PX, CROP_PX)
        t = torch.sigmoid(1.1 * torch.randn(len(x0)) - 0.3)
        with bf16():
            prepared = prepare(None, parts, cond)
            if rng.random() < 0.5:
                prepared = replace(prepared, context_BSD=parts.prompt.tokens_SD.expand(len(x0), -1, -1))
            # the miniature is not distilled, so it learns that the guidance value means nothing
            loss_B = flow_matching_loss(None, parts, x0, torch.randn_like(x0), t, prepared, guidance=rng.uniform(1, 4))
        return {"loss": loss_B.mean()}

    loop.run(step, seed=shop.seed)
    shop.keep(parts, names, loop)


def train_hint(shop: Workshop, config: NetworkConfig) -> None:
    """Teach the hint convolutions to give the scaled latent of what they see, so that a branch starts by reading it."""
    parts = shop.parts(config, need=("autoencoder",))
    hint = parts.hint
    assert hint is not None
    trainable(hint)
    loop = Loop("hint", [hint], budget(shop.steps, 4e-3, weight_decay=0.0), shop.work)
    latent = parts.config.latent

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        image = to_01(shop.pool.batch(rng, 8, CROP_PX // 2)) * 2 - 1
        with torch.no_grad():
            target = latent.scale * (parts.autoencoder.encode(image) - latent.shift)
        with bf16():
            seen = hint(image).float()
        loss = F.mse_loss(seen, target)
        return {"loss": loss, "unexplained": loss.detach() / target.var()}

    loop.run(step, seed=shop.seed)
    shop.keep(parts, ("hint",), loop)


STAGES: Mapping[str, tuple[StageFunction, int]] = {
    "autoencoder": (train_autoencoder, 600),
    "prior": (train_prior, 1800),
    "encoder": (train_encoder, 250),
    "backbone": (train_backbone, 3000),
    "decoder": (train_decoder, 300),
    "hint": (train_hint, 1000),
}
"""Name -> function and its steps, in the order in which they build on one another."""
