import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models import bundle, convert
from models.config import TINY, BackboneConfig, EncoderConfig, LatentConfig, NetworkConfig
from models.lucidflux import Adapter

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    return load_file(GOLDEN / f"{name}.safetensors")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Tiny tensors are slower on several threads, much slower when the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden_config():
    sizes = json.loads((GOLDEN / "config.json").read_text())["config"]
    return NetworkConfig(
        latent=LatentConfig(scale=sizes["ae"]["scale_factor"], shift=sizes["ae"]["shift_factor"]),
        backbone=BackboneConfig(
            hidden=sizes["hidden_size"],
            heads=sizes["num_heads"],
            axes=tuple(sizes["axes_dim"]),
            double_blocks=sizes["depth"],
            single_blocks=sizes["depth_single_blocks"],
            context_dim=sizes["context_in_dim"],
            pooled_dim=sizes["vec_in_dim"],
        ),
        encoder=EncoderConfig(hidden=sizes["siglip_dim"], intermediate=48, layers=2, heads=4, image_px=64, patch_px=16),
        autoencoder=TINY.autoencoder,
        prior=TINY.prior,
        prompt_tokens=sizes["txt_len"],
    )


@pytest.fixture(scope="session")
def golden_frozen(golden_config):
    parts = bundle.build(golden_config)
    parts.backbone.load_state_dict(convert.backbone_state(golden("weights_flux")))
    for module in parts.modules().values():
        module.eval().requires_grad_(False)
    return parts


@pytest.fixture(scope="session")
def golden_adapter(golden_config):
    adapter = Adapter(golden_config)
    adapter.load_state_dict(convert.adapter_state(golden("weights_lucidflux")))
    return adapter.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def small():
    """A bundle of random weights, small enough to build in milliseconds."""
    torch.manual_seed(0)
    config = TINY.model_copy(
        update={"backbone": TINY.backbone.model_copy(update={"hidden": 32, "heads": 2, "axes": (4, 6, 6), "single_blocks": 1})}
    )
    parts = bundle.build(config)
    for module in parts.modules().values():
        module.eval().requires_grad_(False)
    return parts
