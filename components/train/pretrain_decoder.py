"""The stage that teaches the miniature's decoder what the network gives it.

Shapes: B batch, C channels, H W picture height and width in px, T tokens, D values per token.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from components.errors import SettingsError
from components.train.pretrain_loop import Loop, budget
from components.train.pretrain_workshop import Workshop, bf16, gradient_loss, pairs, trainable
from models.autoencoder import SkipAutoencoder
from models.config import NetworkConfig
from models.latents import unpack
from models.lucidflux import Adapter, Condition, velocity
from models.objective import mix

DECODER_CROP_PX = 96


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
