"""The served model: encoded pictures in, restored PNGs out.

MLflow stores this file and runs it where the model is loaded; the packages that it imports travel with it.
Nothing here imports it: `register.py` names it by its path.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, RESOURCE_EXHAUSTED
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import ValidationError

from components.errors import DecodeError
from components.imaging import codec
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings
from components.register.admission import Admission
from components.register.names import ADAPTER, BUNDLE
from components.register.request import Asked
from components.register.settings import ServingSettings


class RestorationModel(PythonModel):
    """A restorer behind MLflow's pyfunc interface; one picture at a time, whatever number of threads call it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights that travel with the model; `model_config` holds the sampler and the limits, side by side."""
        folder, config = Path(context.artifacts[BUNDLE]), dict(context.model_config)
        limits = {name: config.pop(name) for name in ServingSettings.model_fields if name in config}
        self.settings = ServingSettings(**limits)
        self.restorer = Restorer(folder, folder / ADAPTER, SamplerSettings(**config))
        self.admission = Admission(self.settings)
        self.turn = threading.Lock()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Restore every row, or none.

        Args:
            context: of MLflow; unused after loading.
            model_input: column `image` with files of a format that ingestion takes, or the same as base64 text.
            params: `seed` of the noise of every picture; `steps` and `fidelity` of the sampler, None for the model's own.

        Returns:
            Column `image` with PNG files, in the order of the input, each with what its input carried (`codec.render`).

        Raises:
            MlflowException: a bad request for what the caller can mend, with the row that it is about; else an error of
                the server.
        """
        del context
        asked = self._asked(params or {})
        files = self._files(list(model_input["image"]))
        with self.turn, _told():
            for row, data in enumerate(files):
                self._check(row, data)
            restorer = self._restorer(asked)
            return pd.DataFrame({"image": [self._restored(restorer, data, asked.seed) for data in files]})

    def _asked(self, params: Mapping[str, Any]) -> Asked:
        try:
            asked = Asked(**{name: value for name, value in params.items() if value is not None})
        except ValidationError as error:
            wrong = error.errors()[0]
            raise _bad_request(f"Parameter '{wrong['loc'][0]}': {wrong['msg']}, got {wrong['input']!r}") from error
        if asked.steps is not None and asked.steps > (most := self.settings.max_steps):
            raise _bad_request(f"Parameter 'steps': expected at most {most} (max_steps), got {asked.steps}")
        return asked

    def _files(self, values: Sequence[bytes | str]) -> list[bytes]:
        most = self.settings.max_pictures
        if not 1 <= len(values) <= most:
            raise _bad_request(f"Expected 1 to {most} pictures in a request (max_pictures), got {len(values)}")
        return [_file(row, value) for row, value in enumerate(values)]

    def _check(self, row: int, data: bytes) -> None:
        try:
            self.admission.check(data)
        except DecodeError as error:
            raise _no_picture(row, f"{error} ({codec.REASONS[error.reason]})") from error

    def _restorer(self, asked: Asked) -> Restorer:
        own = asked.model_dump(include={"steps", "fidelity"}, exclude_none=True)
        return self.restorer.with_sampler(self.restorer.sampler.model_copy(update=own)) if own else self.restorer

    def _restored(self, restorer: Restorer, data: bytes, seed: int) -> bytes:
        source = codec.source(data, limits=self.admission.limits)
        (restored_01,) = restorer.restore_01([source.image_01], seeds=[seed])
        return codec.render(restored_01, source, "png")


def _file(row: int, value: bytes | str) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else bytes(value)
    except (TypeError, ValueError) as error:
        raise _no_picture(row, str(error)) from error


def _no_picture(row: int, why: str) -> MlflowException:
    return _bad_request(f"Expected an encoded picture, as bytes or base64 text, in row {row} of column 'image': {why}")


def _bad_request(sentence: str) -> MlflowException:
    return MlflowException(f"{sentence}. Nothing was restored.", error_code=INVALID_PARAMETER_VALUE)


@contextmanager
def _told() -> Iterator[None]:
    """Let no fault of the server look like one of the caller: MLflow takes every other exception for a bad request."""
    try:
        yield
    except MlflowException:
        raise
    except Exception as error:
        # torch has no exception of its own for a processor's memory
        short = isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error))
        code = RESOURCE_EXHAUSTED if short else INTERNAL_ERROR
        raise MlflowException(f"The server could not restore: {error}", error_code=code) from error


mlflow.models.set_model(RestorationModel())
