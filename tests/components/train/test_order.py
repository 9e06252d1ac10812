from collections import Counter

import numpy as np
import pytest

from components.train.order import Spread, draw, pair_of


def samples(step, *, size, accumulation, processes):
    spreads = [Spread(size, accumulation, processes, rank) for rank in range(processes)]
    return sorted(sample for spread in spreads for part in spread.micro_batches(step) for sample in part)


@pytest.mark.parametrize(("size", "accumulation", "processes"), [(2, 2, 2), (2, 4, 1), (2, 1, 4), (8, 1, 1)])
def test_an_update_takes_the_same_samples_however_they_are_spread(size, accumulation, processes):
    assert samples(3, size=size, accumulation=accumulation, processes=processes) == list(range(24, 32))


def test_micro_batches_of_the_same_size_hold_the_same_samples_on_any_number_of_processes():
    two = {part for rank in range(2) for part in Spread(2, 2, 2, rank).micro_batches(5)}
    assert two == set(Spread(2, 4, 1, 0).micro_batches(5))


@pytest.mark.parametrize("pairs", [1, 7, 12])
def test_each_pass_takes_every_pair_once(pairs):
    for turn in range(3):
        taken = [pair_of(5, sample, pairs) for sample in range(turn * pairs, (turn + 1) * pairs)]
        assert Counter(taken) == dict.fromkeys(range(pairs), 1)


def test_passes_and_seeds_have_orders_of_their_own():
    orders = {tuple(pair_of(seed, turn * 40 + k, 40) for k in range(40)) for seed in (0, 1) for turn in (0, 1)}
    assert len(orders) == 4


def test_a_draw_depends_on_seed_and_sample_alone():
    first, again = draw(0, 9, 4, 3), draw(0, 9, 4, 3)
    np.testing.assert_array_equal(first.noise_TD, again.noise_TD)
    assert (first.normal, first.uniform) == (again.normal, again.uniform)
    for other in (draw(1, 9, 4, 3), draw(0, 10, 4, 3)):
        assert other.normal != first.normal
        assert not np.array_equal(other.noise_TD, first.noise_TD)


def test_noise_is_standard_normal():
    values = np.concatenate([draw(0, sample, 64, 64).noise_TD.ravel() for sample in range(20)])
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
