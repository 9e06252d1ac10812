"""Build pyiqa's metrics from local files; the one home of pyiqa, which is imported at the first use (it takes seconds).

pyiqa would download what it is not given, also the ImageNet networks inside MANIQA, NIMA and LPIPS. Here it is given
every file, tensors are read without running code, and those networks are made empty, since the checkpoints fill them.
"""

from __future__ import annotations

import importlib.util
import pickle
import sys
import types
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from components.errors import SettingsError, WeightsError
from components.imaging.iqa import parameters, qalign
from components.imaging.iqa.metrics import METRICS
from components.imaging.iqa.patching import replaced

Network = Callable[..., Any]
"""Takes (N, 3, H, W) float32 in [0, 1], and the references where the metric needs some; gives N scores."""
Files = Mapping[str, Path]
"""Set -> its file, or the folder of a set of several."""


def build(name: str, files: Files, device: str) -> Network:
    """Make a metric, ready to score.

    Args:
        name: key of METRICS.
        files: of each set that it needs, proven before.
        device: `cpu` or `cuda`.

    Raises:
        WeightsError: a file does not fit the metric.
        SettingsError: the metric belongs to a model and is measured by evaluation alone.
    """
    if METRICS[name].own_encoder:
        raise SettingsError(
            f"'{name}' is what a model's own image encoder sees; only `evaluate` measures it. Take another metric."
        )
    ensure_pkg_resources()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _BUILDERS[name](files, device) if METRICS[name].weights else _create(METRICS[name].variant, device)
        except (RuntimeError, KeyError, ValueError, TypeError, OSError, pickle.UnpicklingError) as error:
            where = ", ".join(str(path) for path in files.values())
            reason = str(error).strip().partition("\n")[0][:300]
            raise WeightsError(f"'{name}' cannot be made of {where or 'no file'}: {reason}. Import its weights again.") from error


def _create(name: str, device: str, **options: Any) -> Any:
    import pyiqa

    return pyiqa.create_metric(name, device=device, **options)


def _clipiqa(files: Files, device: str) -> Network:
    metric = _create("clipiqa", device, backbone=str(files["clip-rn50"]))
    clip = metric.net.clip_model[0].to(device)
    features = _without_gradient(clip.encode_text, metric.net.prompt_pairs.to(device))
    clip.encode_text = lambda _tokens: features  # pyiqa encodes the same ten prompts at every call
    return metric  # type: ignore[no-any-return]


def _clipiqa_plus(files: Files, device: str) -> Network:
    metric = _create("clipiqa+", device, backbone=str(files["clip-rn50"]), pretrained=False)
    metric.net.prompt_learner.ctx.data.copy_(_read(files["clipiqa-plus"]))
    features = _without_gradient(metric.net.prompt_learner, metric.net.clip_model[0].to(device))
    del metric.net.prompt_learner
    metric.net.prompt_learner = lambda _clip: features
    return metric  # type: ignore[no-any-return]


def _musiq(files: Files, device: str) -> Network:
    return _filled(_create("musiq", device, pretrained=False), files["musiq-koniq"])


def _with_timm(name: str, needed: str, files: Files, device: str) -> Network:
    import timm

    with replaced(timm, "create_model", partial(_empty, timm.create_model)):
        metric = _create(name, device, pretrained=False)
    return _filled(metric, files[needed])


def _empty(create: Callable[..., Any], *names: Any, pretrained: bool = True, **options: Any) -> Any:
    """Make a network of timm without its weights."""
    del pretrained
    return create(*names, pretrained=False, **options)


def _lpips(files: Files, device: str) -> Network:
    import torchvision

    alexnet = torchvision.models.AlexNet()
    prefix = "features."
    read = {key: tensor for key, tensor in _read(files["alexnet"]).items() if key.startswith(prefix)}
    alexnet.features.load_state_dict({key.removeprefix(prefix): tensor for key, tensor in read.items()})
    with replaced(torchvision.models, "alexnet", lambda **_options: alexnet):
        metric = _create("lpips", device, pretrained=False)
    linear = _read(files["lpips-alex"])
    for number in range(metric.net.L):
        layer = getattr(metric.net, f"lin{number}").model[1]
        layer.weight.data.copy_(linear[f"lin{number}.model.1.weight"])
    return metric  # type: ignore[no-any-return]


_BUILDERS: Mapping[str, Callable[[Files, str], Network]] = {
    "clipiqa": _clipiqa,
    "clipiqa+": _clipiqa_plus,
    "niqe": lambda files, device: parameters.niqe(files["niqe"], device),
    "brisque": lambda files, device: parameters.brisque(files["brisque-svm"], files["brisque-range"], device),
    "qalign": lambda files, device: qalign.build(files["one-align"], device),
    "musiq": _musiq,
    "maniqa": partial(_with_timm, "maniqa", "maniqa-koniq"),
    "nima": partial(_with_timm, "nima", "nima-ava"),
    "lpips": _lpips,
}


def _filled(metric: Any, file: Path) -> Network:
    """Put every tensor of a checkpoint into its place; one too many or too few is an error."""
    metric.net.load_state_dict(_read(file), strict=True)
    return metric  # type: ignore[no-any-return]


def _read(file: Path) -> Any:
    """Read the tensors of a checkpoint and run nothing of it."""
    import torch

    read = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(read, Mapping):
        return read
    return {key.removeprefix("module."): tensor for key, tensor in read.get("params", read).items()}


def _without_gradient(function: Callable[..., Any], *given: Any) -> Any:
    import torch

    with torch.no_grad():
        return function(*given)


def ensure_pkg_resources() -> None:
    """Give openai-clip the `pkg_resources.packaging` that setuptools no longer brings."""
    if "pkg_resources" in sys.modules or importlib.util.find_spec("pkg_resources") is not None:
        return
    import packaging.version

    stand_in = types.ModuleType("pkg_resources")
    vars(stand_in)["packaging"] = packaging
    sys.modules["pkg_resources"] = stand_in
