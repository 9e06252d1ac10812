from pathlib import Path

import pytest
import torch

from models import bundle
from models.config import TINY, AutoencoderConfig, LatentConfig
from models.golden import read_golden

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny tensors are slower on several threads, much slower when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden():
    return read_golden(GOLDEN)


@pytest.fixture(scope="session")
def golden_config(golden):
    return golden.config


@pytest.fixture(scope="session")
def golden_adapter(golden):
    return golden.adapter


@pytest.fixture(scope="session")
def golden_frozen(golden):
    parts = {"autoencoder": golden.autoencoder, "encoder": golden.encoder, "prior": golden.prior}
    return golden.frozen(golden.inputs("05_denoise"), **parts)


@pytest.fixture(scope="session")
def small():
    """A bundle of random weights, small enough to build in milliseconds."""
    torch.manual_seed(0)
    config = TINY.model_copy(
        update={
            "latent": LatentConfig(scale=1.0, shift=0.0),
            "autoencoder": AutoencoderConfig(kind="skip", widths=(32, 64, 96)),
            "backbone": TINY.backbone.model_copy(update={"hidden": 32, "heads": 2, "axes": (4, 6, 6), "single_blocks": 1}),
        }
    )
    parts = bundle.build(config)
    for module in parts.modules().values():
        module.eval().requires_grad_(False)
    return parts
