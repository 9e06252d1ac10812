"""The served model: encoded pictures in, restored PNGs out.

MLflow stores this file and runs it where the model is loaded; the packages that it imports travel with it.
Nothing here imports it: `register.py` names it by its path.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from components.errors import DecodeError
from components.imaging import codec
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings
from components.register.names import ADAPTER, BUNDLE


class RestorationModel(PythonModel):
    """A restorer behind MLflow's pyfunc interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights that travel with the model; `model_config` holds the sampler."""
        folder = Path(context.artifacts[BUNDLE])
        self.restorer = Restorer(folder, folder / ADAPTER, SamplerSettings(**context.model_config))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Restore every row.

        Args:
            context: of MLflow; unused after loading.
            model_input: column `image` with JPEG, PNG, WebP or TIFF bytes, or the same as base64 text.
            params: `seed` of the noise of every picture; `steps` of the sampler, 0 for the model's own.

        Returns:
            Column `image` with PNG bytes, in the order of the input.

        Raises:
            MlflowException: names the row that is no picture, as a bad request; none is restored then.
        """
        del context
        asked = params or {}
        pictures = [_decoded(row, value) for row, value in enumerate(model_input["image"])]
        restorer = self.restorer
        if steps := int(asked.get("steps", 0)):
            restorer = restorer.with_sampler(SamplerSettings(**{**restorer.sampler.model_dump(), "steps": steps}))
        restored = restorer.restore(pictures, seeds=[int(asked.get("seed", 0))] * len(pictures))
        return pd.DataFrame({"image": [codec.encode_png(picture.restored_u8) for picture in restored]})


def _decoded(row: int, value: bytes | str) -> codec.Image:
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(value)
        return codec.decode(data).image_u8
    except (DecodeError, ValueError) as error:
        raise MlflowException.invalid_parameter_value(
            f"Expected an encoded picture, as bytes or base64 text, in row {row} of column 'image': {error}. None was restored."
        ) from error


mlflow.models.set_model(RestorationModel())
