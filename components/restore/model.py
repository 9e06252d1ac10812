"""Which model a batch uses, said without loading it, so that the parent of the workers stays small."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.backends.storage import file_sha256
from components.errors import WeightsError
from components.imaging.sampler import SamplerSettings
from components.records import content_hash
from models.files import hashes

if TYPE_CHECKING:
    from components.imaging.restorer import Restorer


@dataclass(frozen=True)
class Model:
    """Files of a model version and how to sample; picklable, so that each worker loads it for itself."""

    name: str
    """`NAME/version`, or a folder's name with the beginning of its identity."""
    base: Path
    adapter: Path | None
    sampler: SamplerSettings

    @cached_property
    def identity(self) -> str:
        """Hash of everything that decides a result beside picture and seed; the loaded restorer has the same.

        Raises:
            WeightsError: a file is missing.
        """
        try:
            return content_hash(hashes(self.base), file_sha256(self.adapter) if self.adapter else "", self.sampler)
        except (OSError, ValueError) as error:
            raise WeightsError(str(error)) from error

    def prove(self, restorer: Restorer) -> Restorer:
        """Give a loaded restorer back when it is this model.

        Raises:
            WeightsError: its files were changed since they were named.
        """
        if restorer.identity != self.identity:
            raise WeightsError(f"The files of {self.name} were changed while they were used. Run the same command again.")
        return restorer

    def load(self, *, device: str = "auto", batch: int = 1) -> Restorer:
        """Load the weights; see Restorer.

        Args:
            device: torch device; `auto` is the GPU where there is one.
            batch: pictures of one size per forward pass.
        """
        from components.imaging.restorer import Restorer

        return Restorer(self.base, self.adapter, self.sampler, device=device, batch=batch)
