import pytest
import torch

from models.autoencoder import SkipAutoencoder
from models.conditioner import hint_convolutions
from models.config import AutoencoderConfig, LatentConfig


@pytest.mark.parametrize("widths", [(8,), (8, 12), (8, 12, 16)])
def test_codec_and_hints_have_the_size_of_the_latent(widths):
    latent = LatentConfig(channels=4, downscale=2 ** len(widths))
    codec = SkipAutoencoder(AutoencoderConfig(kind="skip", widths=widths, blocks=1), latent)
    image = torch.rand(2, 3, 32, 48)
    code = codec.encode(image)
    assert code.shape == (2, 4, 32 // latent.downscale, 48 // latent.downscale)
    assert codec.decode(code).shape == image.shape
    assert hint_convolutions(4, latent.downscale)(image).shape == code.shape


def test_the_linear_path_keeps_what_its_components_span():
    """16 components of 4x4 patches give smooth pictures back before any training."""
    codec = SkipAutoencoder(AutoencoderConfig(kind="skip", widths=(8, 8), blocks=1), LatentConfig(downscale=4))
    coarse = torch.rand(64, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    smooth = torch.nn.functional.interpolate(coarse, size=(32, 32), mode="bicubic")
    codec.fit_linear(smooth.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, 4, 4))
    assert (codec.decode(codec.encode(smooth)) - smooth).square().mean() < 0.02 * smooth.var()


def test_a_codec_without_a_width_per_halving_is_refused():
    with pytest.raises(ValueError, match="one width per halving"):
        SkipAutoencoder(AutoencoderConfig(kind="skip", widths=(8, 8)), LatentConfig())


def test_hints_of_another_size_are_refused():
    with pytest.raises(ValueError, match="2, 4 or 8"):
        hint_convolutions(4, 16)
