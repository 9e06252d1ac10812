"""What the shipped weights can do, on photos that they were never trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from models import bundle
from models.config import CONFIG_FILE
from models.latents import pack
from models.lucidflux import Condition, velocity
from models.objective import mix

DIRECTORY = Path(__file__).parents[2] / "models" / "tiny"


@pytest.fixture(scope="module")
def tiny():
    return bundle.load_frozen(DIRECTORY)


@pytest.fixture(scope="module")
def photo_01():
    """A 128x256 crop of the coffee cup."""
    return torch.from_numpy(data.coffee()[100:228, 200:456].copy()).permute(2, 0, 1)[None].float() / 255


def psnr(a_01, b_01):
    return float(-10 * torch.log10((a_01.clamp(0, 1) - b_01).square().mean()))


def test_the_bundle_is_complete_small_and_nothing_else():
    names = {path.name for path in DIRECTORY.iterdir()}
    assert names == {CONFIG_FILE, *bundle.FROZEN_FILES.values(), "README.md", "loss.json"}
    assert sum(path.stat().st_size for path in DIRECTORY.iterdir()) < 12e6


def test_the_codec_gives_a_photo_back(tiny, photo_01):
    decoded = (tiny.decode(tiny.encode(photo_01 * 2 - 1), 128, 256) + 1) / 2
    assert psnr(decoded, photo_01) > 28


def test_the_latent_has_about_unit_variance(tiny, photo_01):
    assert 0.5 < float(tiny.encode(photo_01 * 2 - 1).std()) < 2


def test_the_prior_removes_noise(tiny, photo_01):
    lq = (photo_01 + 35 / 255 * torch.from_numpy(np.random.default_rng(0).standard_normal(photo_01.shape)).float()).clamp(0, 1)
    assert psnr(tiny.lrp(lq), photo_01) > psnr(lq, photo_01) + 3


@torch.no_grad()
def test_the_backbone_knows_photos_from_noise(tiny, photo_01):
    """Its velocity must bring a half-noised latent nearer to the photo than ignoring the picture's statistics would."""
    x0 = tiny.encode(photo_01 * 2 - 1)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.6])
    x_t = mix(x0, noise, t)
    cond = Condition(photo_01, photo_01, tiny.features(photo_01), 128, 256)
    guess = x_t - t * velocity(None, tiny, x_t, t, cond, 1.0)
    wiener = x_t * (0.4 * x0.var() / (0.16 * x0.var() + 0.36))
    assert (guess - x0).square().mean() < 0.85 * (wiener - x0).square().mean()


@torch.no_grad()
def test_the_hint_convolutions_read_the_latent(tiny, photo_01):
    target = tiny.encode(photo_01 * 2 - 1)
    seen = pack(tiny.hint(photo_01 * 2 - 1))
    assert (seen - target).square().mean() < 0.25 * target.var()
