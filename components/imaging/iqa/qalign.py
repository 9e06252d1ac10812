"""Q-Align (OneAlign) from a folder of this machine. pyiqa would ask the hub for it by name, at three places."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from components.imaging.iqa.patching import replaced


def build(folder: Path, device: str) -> Callable[..., Any]:
    """Make Q-Align's quality score; raises OSError or ValueError where the folder does not hold it.

    Only tensors are read: the program is pyiqa's, and the one that lies beside the weights on the hub is not run.
    """
    import pyiqa
    from pyiqa.archs import qalign_arch
    from pyiqa.archs.q_align import modeling_mplug_owl2

    places = (
        (qalign_arch, "MPLUGOwl2LlamaForCausalLM"),
        (qalign_arch, "CLIPImageProcessor"),
        (modeling_mplug_owl2, "LlamaTokenizer"),
        (modeling_mplug_owl2, "CLIPImageProcessor"),
    )
    with ExitStack() as stack:
        for module, name in places:
            stack.enter_context(replaced(module, name, _Here(getattr(module, name), folder)))
        return pyiqa.create_metric("qalign", device=device)  # type: ignore[no-any-return]


class _Here:
    """A class of transformers that is loaded from a folder, whatever name is asked for."""

    def __init__(self, kind: Any, folder: Path) -> None:
        self.kind, self.folder = kind, folder

    def from_pretrained(self, name: str, **options: Any) -> Any:
        del name
        return self.kind.from_pretrained(self.folder, **options | {"local_files_only": True, "trust_remote_code": False})
