from collections import Counter

import numpy as np
import pytest

from components.train.order import Order, Spread, draw, pair_of


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


SIZES = (np.arange(0, 50, 2), np.arange(1, 15, 2), np.arange(15, 50, 2))
"""50 rows of three sizes: 25, 7 and 18."""


def test_pairs_of_one_size_have_the_order_that_they_always_had():
    order = Order(5, (np.arange(11),), 4)
    assert order.rows(range(3, 60)) == [pair_of(5, sample, 11) for sample in range(3, 60)]


def test_an_update_takes_pairs_of_one_size():
    order = Order(2, SIZES, 4)
    for update in range(60):
        taken = order.rows(range(4 * update, 4 * update + 4))
        assert sum(set(taken) <= set(size.tolist()) for size in SIZES) == 1


def test_each_size_goes_through_all_its_pairs_before_any_comes_again():
    order = Order(2, SIZES, 4)
    taken = np.concatenate([order.update(update) for update in range(200)])
    for size in SIZES:
        own = taken[np.isin(taken, size)]
        for start in range(0, len(own) - len(size), len(size)):
            assert Counter(own[start : start + len(size)].tolist()) == dict.fromkeys(size.tolist(), 1)


def test_sizes_come_as_often_as_their_pairs():
    order = Order(2, SIZES, 4)
    for turns in (2, 8, 40):
        taken = np.concatenate([order.update(update) for update in range(turns * 50 // 4)])
        for size in SIZES:
            assert abs(np.isin(taken, size).sum() - turns * len(size)) <= 3 * 4


def test_sizes_are_mixed_within_a_pass_and_the_order_depends_on_the_seed():
    big = (np.arange(400), np.arange(400, 800))
    kinds = [[int(Order(seed, big, 4).update(update)[0] >= 400) for update in range(200)] for seed in (0, 1)]
    assert sum(kinds[0]) == sum(kinds[1]) == 100
    assert kinds[0] != kinds[1]
    assert sum(one != other for one, other in zip(kinds[0], kinds[0][1:], strict=False)) > 50


def test_fewer_pairs_than_an_update_takes_are_enough():
    order = Order(0, (np.arange(1), np.arange(1, 4)), 8)
    taken = np.concatenate([order.update(update) for update in range(32)])
    assert Counter(taken.tolist()) == dict.fromkeys(range(4), 64)
