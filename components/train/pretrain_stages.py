"""The stages that make the miniature's frozen parts: autoencoder, prior, image encoder, backbone, decoder.

Each stage reads what the earlier ones left in the bundle directory and writes its own files there.

Shapes: B batch, C channels, H W picture height and width in px, T tokens, D values per token.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from components.errors import SettingsError
from components.imaging.degrade import recipe as degrade
from components.train.pretrain_loop import Loop, budget
from components.train.pretrain_photos import CropPool, Image
from models import bundle
from models.autoencoder import SkipAutoencoder
from models.bundle import FROZEN_FILES, FrozenParts
from models.config import CONFIG_FILE, NetworkConfig
from models.latents import unpack
from models.lucidflux import Adapter, Condition, prepare, velocity
from models.objective import flow_matching_loss, mix

CROP_PX = 128
DECODER_CROP_PX = 96
CURVE_FILE = "loss.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What every stage is given."""

    out: Path
    """Bundle directory."""
    work: Path
    """Checkpoints of running stages."""
    pool: CropPool
    seed: int
    steps: int
    start: Path | None = None
    """Bundle whose weights a stage begins with, where it can; None begins with random ones."""
    adapter: Path | None = None
    """Adapter trained on the bundle, for the decoder to learn from."""

    def parts(self, config: NetworkConfig, *, need: tuple[str, ...], learn: tuple[str, ...] = ()) -> FrozenParts:
        """Modules of the bundle, with the weights of the parts that this stage builds on and of those it begins with."""
        path = self.out / CONFIG_FILE
        parts = bundle.build(NetworkConfig.load(self.out) if path.is_file() else config)
        for name, module in parts.modules().items():
            if name in need:
                bundle.read_weights(self.out / FROZEN_FILES[name], module)
            elif name in learn and self.start is not None:
                bundle.read_weights(self.start / FROZEN_FILES[name], module)
            module.eval().requires_grad_(requires_grad=False)
        return parts

    def keep(self, parts: FrozenParts, names: tuple[str, ...], loop: Loop) -> None:
        """Write config, the named parts and the stage's loss curve."""
        parts.config.save(self.out)
        for name in names:
            bundle.write_weights(self.out / FROZEN_FILES[name], parts.modules()[name])
        path = self.out / CURVE_FILE
        curves = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        every = max(1, len(loop.curve) // 12)
        curves[loop.name] = {"steps": loop.steps, "minutes": round(loop.seconds / 60, 1), "curve": loop.curve[::-every][::-1]}
        path.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")


class StageFunction(Protocol):
    """One stage: trains and writes."""

    def __call__(self, shop: Workshop, config: NetworkConfig) -> None:
        """Train for `shop.steps` and write the stage's files."""


def to_01(image_u8: Image) -> Tensor:
    """(B, H, W, 3) uint8 to (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(image_u8).permute(0, 3, 1, 2).float().div(255).contiguous()


def bf16() -> contextlib.AbstractContextManager[None]:
    """Autocast on the processor; pays where matrix products dominate."""
    return torch.autocast("cpu", dtype=torch.bfloat16)


def trainable(*modules: torch.nn.Module) -> None:
    """Switch modules back to training."""
    for module in modules:
        module.train().requires_grad_(requires_grad=True)


def gradient_loss(a_BCHW: Tensor, b_BCHW: Tensor) -> Tensor:
    """L1 between the horizontal and vertical differences of two pictures."""
    difference = a_BCHW - b_BCHW
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


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


def pairs(shop: Workshop, rng: np.random.Generator, size: int, side_px: int = CROP_PX) -> tuple[Tensor, Tensor]:
    """HQ crops and their LQ, both (B, 3, H, W) in [0, 1].

    Three in four are degraded as the `tiny` preset draws, one in four by white noise alone, which that preset never
    leaves as it is (it always shrinks and compresses) and cameras in the dark do.
    """
    settings = degrade.preset("tiny").model_copy(update={"crop_px": None, "flip_share": 0.0})
    hq_u8 = shop.pool.batch(rng, size, side_px)
    seed = int(rng.integers(2**31))
    lq_u8 = [degrade.apply(crop, degrade.draw(seed, str(index), 0, settings))[1] for index, crop in enumerate(hq_u8)]
    for index in np.flatnonzero(rng.random(size) < 0.25):
        noise = rng.uniform(3, 50) * rng.standard_normal(hq_u8[index].shape)
        lq_u8[index] = np.clip(np.rint(hq_u8[index] + noise), 0, 255).astype(np.uint8)
    return to_01(hq_u8), to_01(np.stack(lq_u8))


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


def psnr(a_01: Tensor, b_01: Tensor) -> Tensor:
    """Mean PSNR in dB over the pictures of a batch in [0, 1]."""
    return (-10 * torch.log10((a_01 - b_01).square().mean((1, 2, 3)).clamp_min(1e-10))).mean()


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


def train_decoder(shop: Workshop, config: NetworkConfig) -> None:
    """Teach the decoder what the network gives it: latents that were freed of noise in one step.

    Without an adapter the backbone does it, from the latent of HQ; with one the whole network, from the latent of the LRP.
    One picture in four is decoded from its own latent, so that the codec stays one. The encoder stays as it is.
    """
    parts = shop.parts(config, need=("autoencoder", "prior", "encoder", "backbone", "prompt", "connector"))
    codec, latent = parts.autoencoder, parts.config.latent
    token_px, side = latent.token_px, DECODER_CROP_PX
    if not isinstance(codec, SkipAutoencoder):
        raise SettingsError("Only the `skip` autoencoder is trained here; the released one comes with its weights.")
    adapter = None if shop.adapter is None else Adapter.load(shop.adapter, parts.config)
    trainable(codec.linear_decoder, codec.decoder)
    loop = Loop("decoder", [codec.linear_decoder, codec.decoder], budget(shop.steps, 5e-4), shop.work)

    def guess(image: Tensor, lq: Tensor, t: Tensor) -> Tensor:
        """Latent after one step; t = 0 is the latent of HQ itself."""
        lrp = image if adapter is None else parts.lrp(lq)
        x0 = parts.encode(image * 2 - 1).float()
        start = torch.where(t[:, None, None] > 0, parts.encode(lrp.float() * 2 - 1).float(), x0)
        x_t = mix(start, torch.randn_like(x0), t)
        cond = Condition(lq * 2 - 1, lrp.float() * 2 - 1, parts.features(lrp.float()), side, side)
        return x_t - t[:, None, None] * velocity(adapter, parts, x_t, t, cond, 1.0).float()

    def step(rng: np.random.Generator) -> dict[str, Tensor]:
        image, lq = pairs(shop, rng, 8, side)
        t = (torch.rand(len(image)) * 0.6 - 0.15).clamp_min(0)
        with torch.no_grad(), bf16():
            z = unpack(guess(image, lq, t), side // token_px, side // token_px, latent.packing)
        with bf16():
            decoded = codec.decode(z / latent.scale + latent.shift).float()
        return decoder_terms(decoded, image * 2 - 1, token_px)

    loop.run(step, seed=shop.seed)
    shop.keep(parts, ("autoencoder",), loop)


def decoder_terms(decoded_BCHW: Tensor, image_pm1_BCHW: Tensor, token_px: int) -> dict[str, Tensor]:
    """Loss of a picture decoded from a doubtful latent: L1, gradients, steps at token borders, and as much gradient as HQ."""
    error = decoded_BCHW - image_pm1_BCHW
    border = error.diff(dim=-1)[..., token_px - 1 :: token_px].abs().mean()
    border = border + error.diff(dim=-2)[..., token_px - 1 :: token_px, :].abs().mean()
    energy = (gradient_energy(decoded_BCHW) / gradient_energy(image_pm1_BCHW).clamp_min(1e-4)).clamp(0.1, 10).log().abs().mean()
    loss = error.abs().mean() + 0.5 * gradient_loss(decoded_BCHW, image_pm1_BCHW) + border + 0.01 * energy
    per_picture = error.detach().square().mean((1, 2, 3))
    return {"loss": loss, "psnr": (10 * torch.log10(4 / per_picture)).mean(), "energy": energy}


def gradient_energy(image_BCHW: Tensor) -> Tensor:
    """Mean square of neighbouring pixels' differences, one per picture (B,)."""
    return image_BCHW.diff(dim=-1).square().mean((1, 2, 3)) + image_BCHW.diff(dim=-2).square().mean((1, 2, 3))


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
