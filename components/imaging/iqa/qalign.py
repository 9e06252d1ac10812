"""Q-Align (OneAlign) from a folder of this machine. pyiqa would ask the hub for it by name, at four places.

pyiqa 0.1.16 needs two stand-ins to run on the transformers that the lock has. Importing its Q-Align also puts its own attention
into transformers' Llama, for the whole process; nothing else of this product uses Llama. Tested with made weights only: the
released ones take 16 GB, so no score of theirs was compared with the authors'.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from components.imaging.iqa.patching import replaced


def build(folder: Path, device: str) -> Callable[..., Any]:
    """Make Q-Align's quality score; raises OSError or ValueError where the folder does not hold it.

    Only tensors are read: the program is pyiqa's, and the one that lies beside the weights on the hub is not run.
    """
    _ensure_icecream()
    import pyiqa
    from pyiqa.archs import qalign_arch
    from pyiqa.archs.q_align import modeling_mplug_owl2, visual_encoder

    if not hasattr(visual_encoder.MplugOwlVisualAbstractorModel, "invert_attention_mask"):
        visual_encoder.MplugOwlVisualAbstractorModel.invert_attention_mask = _inverted
    places = (
        (qalign_arch, "MPLUGOwl2LlamaForCausalLM"),
        (qalign_arch, "CLIPImageProcessor"),
        (modeling_mplug_owl2, "LlamaTokenizer"),
        (modeling_mplug_owl2, "CLIPImageProcessor"),
    )
    with ExitStack() as stack:
        for module, name in places:
            stack.enter_context(replaced(module, name, Here(getattr(module, name), folder)))
        return pyiqa.create_metric("qalign", device=device)  # type: ignore[no-any-return]


class Here:
    """A class of transformers that is loaded from a folder, whatever name is asked for."""

    def __init__(self, kind: Any, folder: Path) -> None:
        """Remember the class and the folder."""
        self.kind, self.folder = kind, folder

    def from_pretrained(self, name: str, **options: Any) -> Any:
        """Load from the folder; no network is asked and no program of the folder is run."""
        del name
        return self.kind.from_pretrained(self.folder, **options | {"local_files_only": True, "trust_remote_code": False})


def _inverted(model: Any, mask: Any) -> Any:
    """(B, S) with 1 for what is seen to (B, 1, 1, S) to add to attention; transformers 5 took its own away."""
    import torch

    return (1 - mask[:, None, None, :].to(model.dtype)) * torch.finfo(model.dtype).min


def _ensure_icecream() -> None:
    """Stand in for a debugging print that pyiqa imports, does not use and does not depend on."""
    if "icecream" in sys.modules or importlib.util.find_spec("icecream") is not None:
        return
    stand_in = types.ModuleType("icecream")
    vars(stand_in)["ic"] = print
    sys.modules["icecream"] = stand_in
