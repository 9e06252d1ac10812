from dataclasses import dataclass
from pathlib import Path

import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage, file_sha256
from components.backends.tracking import Tracker
from components.records import EvalReport, TrainRun
from tests.records import report, train_run

SAMPLER = {"steps": 2, "start": 0.6, "guidance": 1.0, "shift": "none", "colour": "wavelet", "tile_px": 64, "overlap_px": 16}


@dataclass
class Trained:
    """A run of random weights, complete enough to be registered."""

    base: Path
    store: LocalStorage
    run: TrainRun
    report: EvalReport


@pytest.fixture(scope="session")
def tracker(tmp_path_factory):
    """One registry for all tests, because making its database takes seconds; every test has its own model name."""
    home = tmp_path_factory.mktemp("mlflow")
    return Tracker(f"sqlite:///{home / 'mlflow.db'}", artifact_root=home / "artifacts", experiment="lucidflux")


@pytest.fixture(scope="session")
def one_thread():
    """Tiny tensors are slower on several threads, much slower when the machine is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, one_thread):
    return make_trained(tmp_path_factory.mktemp("trained"))


def make_trained(folder):
    """Build a run of random weights in a folder: one training picture under CC0, one of the user's own, and their scores."""
    import torch

    from models import bundle
    from models.config import TINY
    from models.lucidflux import Adapter

    torch.manual_seed(0)
    backbone = TINY.backbone.model_copy(update={"hidden": 32, "heads": 2, "axes": (4, 6, 6), "single_blocks": 1})
    thin = {
        "conditioner": TINY.conditioner.model_copy(update={"hint_channels": 4}),
        "autoencoder": TINY.autoencoder.model_copy(update={"widths": (4, 8), "blocks": 1}),
        "prior": TINY.prior.model_copy(update={"widths": (8,)}),
    }
    config = TINY.model_copy(update={"backbone": backbone, **thin})
    frozen = bundle.build(config)
    config.save(folder / "base")
    for name, module in frozen.modules().items():
        bundle.write_weights(folder / "base" / bundle.FROZEN_FILES[name], module)
    adapter = Adapter.from_backbone(config, frozen)
    for parameter in adapter.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    adapter.save(folder / "adapter.safetensors")
    store = LocalStorage(folder / "objects")
    store.put_file("checkpoints/adapter.safetensors", folder / "adapter.safetensors")
    images = [
        {"id": name * 64, "origin": name, "source": source, "licence": licence, "verdict": verdict, "reason": reason}
        for name, source, licence, verdict, reason in (
            ("1", "archive", "CC0", "kept", ""),
            ("2", "archive", "CC0", "kept", ""),
            ("3", "home", "own", "kept", ""),
            ("4", "home", "own", "rejected", "flat"),
        )
    ]
    pairs = [{"id": f"{name}{epoch}", "hq_id": name * 64, "epoch": epoch} for name in ("1", "3") for epoch in (0, 1)]
    made = train_run("unset")
    curation = made.pairs.curation.model_copy(update={"manifest": manifest.write(store, "images", images)})
    pair_set = made.pairs.model_copy(update={"manifest": manifest.write(store, "pairs", pairs), "curation": curation})
    run = made.model_copy(
        update={
            "pairs": pair_set,
            "checkpoint": "checkpoints/adapter.safetensors",
            "checkpoint_sha256": file_sha256(folder / "adapter.safetensors"),
            "base": bundle.hashes(folder / "base"),
        }
    )
    scores = [
        {
            "benchmark": name,
            "image_id": image * 64,
            "method": method,
            "metric": "psnr",
            "value": value,
        }
        for name in ("moderate", "heavy")
        for method in ("lq", "restored")
        for image, value in (("5", 18.0), ("6", 20.0), ("7", 21.0), ("8", 21.0))
    ]
    kept = manifest.write(store, "scores", scores, parent=curation.manifest.sha256)
    changes = {"checkpoint_sha256": run.checkpoint_sha256, "sampler": SAMPLER, "scores": kept}
    return Trained(folder / "base", store, run, report(22.0).model_copy(update=changes))
