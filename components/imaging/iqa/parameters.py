"""NIQE and BRISQUE from published files of parameters; nothing in them is run.

NIQE's is the .npz of BasicSR, which holds the authors' numbers. BRISQUE's are a LIBSVM model and the ranges of its features
as JSON, both of the package `brisque`: a model trained anew on LIVE, with halving that does not smooth first. Fed with
features made as MATLAB makes them it is off by ten points; made as here it is within one point of that package.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FEATURES = 36
SCALES = 2


class Machine(NamedTuple):
    """A support vector machine for regression with a radial kernel."""

    gamma: float
    rho: float
    coefficients: Floats
    """(N,)"""
    vectors: Floats
    """(N, FEATURES)"""


def niqe(file: Path, device: str) -> Callable[..., Any]:
    """Make NIQE of an .npz with `mu_pris_param` and `cov_pris_param`; raises KeyError, ValueError or OSError."""
    import pyiqa
    import scipy.io

    with np.load(file, allow_pickle=False) as given:
        numbers = {"mu_prisparam": given["mu_pris_param"], "cov_prisparam": given["cov_pris_param"]}
    matlab = io.BytesIO()  # the one form that pyiqa reads
    scipy.io.savemat(matlab, numbers)
    matlab.seek(0)
    return _unless_flat(pyiqa.create_metric("niqe", device=device, pretrained_model_path=matlab))


def brisque(svm: Path, ranges: Path, device: str) -> Callable[..., Any]:
    """Make BRISQUE of a LIBSVM model and the ranges of its features; raises KeyError, ValueError or OSError."""
    import torch

    machine, (low, high) = read_machine(svm), read_ranges(ranges)
    vectors, coefficients, low_F, high_F = (
        torch.from_numpy(array).to(device) for array in (machine.vectors.T, machine.coefficients, low, high)
    )

    @torch.no_grad()
    def score(picture_01: torch.Tensor) -> torch.Tensor:
        from pyiqa.archs.brisque_arch import rbf_kernel

        scaled_1F = 2 * (_features(picture_01.to(device).double()) - low_F) / (high_F - low_F) - 1
        return torch.as_tensor(rbf_kernel(scaled_1F, vectors, machine.gamma) @ coefficients - machine.rho)

    return _unless_flat(score)


def _unless_flat(metric: Callable[..., Any]) -> Callable[..., Any]:
    """Give NaN for a picture of one colour, of which pyiqa makes an error or any number."""
    import torch

    def score(picture_01: torch.Tensor) -> Any:
        flat = torch.equal(picture_01.amax((2, 3)), picture_01.amin((2, 3)))
        return torch.full((1,), torch.nan) if flat else metric(picture_01)

    return score


def _features(picture_01: Any) -> Any:
    """(1, FEATURES): statistics of the luma at full and at half size."""
    import torch
    from pyiqa.archs.brisque_arch import imresize, natural_scene_statistics, to_y_channel

    luma, found = to_y_channel(picture_01, 255.0), []
    for _ in range(SCALES):
        found.append(natural_scene_statistics(luma))
        luma = imresize(luma, scale=0.5, antialiasing=False)
    return torch.cat(found, dim=-1)


def read_machine(file: Path) -> Machine:
    """Read a LIBSVM model of type epsilon_svr with a radial kernel.

    Raises:
        KeyError, ValueError: it is another kind of file, or cut.
        OSError: it cannot be read.
    """
    head_text, mark, body = file.read_text().partition("\nSV\n")
    head = dict(line.split(maxsplit=1) for line in head_text.splitlines())
    lines = body.splitlines()
    if not mark or (head["svm_type"], head["kernel_type"]) != ("epsilon_svr", "rbf") or len(lines) != int(head["total_sv"]):
        raise ValueError("expected a whole LIBSVM model with svm_type epsilon_svr and kernel_type rbf")
    coefficients, vectors = np.empty(len(lines)), np.zeros((len(lines), FEATURES))
    for row, line in enumerate(lines):
        coefficient, *pairs = line.split()
        coefficients[row] = float(coefficient)
        for number, value in (pair.split(":") for pair in pairs):
            if not 1 <= int(number) <= FEATURES:
                raise ValueError(f"expected features 1 to {FEATURES}, found {number}")
            vectors[row, int(number) - 1] = float(value)
    return Machine(float(head["gamma"]), float(head["rho"]), coefficients, vectors)


def read_ranges(file: Path) -> tuple[Floats, Floats]:
    """Read the smallest and the largest value of each feature, `min_` and `max_`.

    Raises:
        KeyError, ValueError: they are missing, not as many as there are features, or the wrong way round.
        OSError: it cannot be read.
    """
    given = json.loads(file.read_text())
    low, high = np.asarray(given["min_"], dtype=np.float64), np.asarray(given["max_"], dtype=np.float64)
    if low.shape != (FEATURES,) or high.shape != (FEATURES,) or not (low < high).all():
        raise ValueError(f"expected {FEATURES} numbers min_ below {FEATURES} numbers max_")
    return low, high
