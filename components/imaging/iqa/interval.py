"""How sure a mean over pictures is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


def bootstrap(values: Sequence[float], *, level: float = LEVEL) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron 1979), the same for the same values.

    Args:
        values: one per picture, finite; of a single one both ends are that value.
        level: share of the resampled means that lie inside.

    Returns:
        (lower, upper).

    Raises:
        ValueError: there is no value.
    """
    if not len(values):
        raise ValueError("Expected at least one value to resample, got none.")
    array = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(0).integers(0, len(array), (RESAMPLES, len(array)))
    lower, upper = np.quantile(array[picks].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)
