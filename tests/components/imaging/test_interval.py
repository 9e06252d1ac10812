import numpy as np
import pytest

from components.imaging import iqa


def test_the_interval_holds_the_mean_and_narrows_with_more_pictures():
    values = np.random.default_rng(1).normal(25, 3, 400)
    few, many = iqa.bootstrap(values[:16].tolist()), iqa.bootstrap(values.tolist())
    assert few[0] < values[:16].mean() < few[1]
    assert many[1] - many[0] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert few[1] - few[0] > 3 * (many[1] - many[0])


def test_the_same_values_have_the_same_interval_and_one_value_has_no_width():
    assert iqa.bootstrap([1.0, 2.0, 4.0]) == iqa.bootstrap([1.0, 2.0, 4.0])
    assert iqa.bootstrap([3.0]) == (3.0, 3.0)


def test_no_value_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        iqa.bootstrap([])
