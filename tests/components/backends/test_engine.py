import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from components.backends.engine import map_shards, survives


def double(number):
    return 2 * number


def die_at_two(number):
    if number == 2:
        os._exit(9)
    return 2 * number


def fail(number):
    raise ValueError(number)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order_of_the_jobs(workers):
    seen = []
    results = map_shards(double, [3, 1, 2], workers=workers, progress=lambda *step: seen.append(step))
    assert results == [6, 2, 4]
    assert seen[-1] == ("shards", 3, 3)


def test_a_job_that_kills_its_process_costs_only_itself():
    assert map_shards(die_at_two, [1, 2, 3], workers=2, on_crash=lambda job: -job) == [2, -2, 6]


def test_a_job_that_kills_its_process_is_raised_when_nobody_takes_it():
    with pytest.raises(BrokenProcessPool):
        map_shards(die_at_two, [2, 3], workers=2)


def test_an_exception_is_raised_as_it_is():
    with pytest.raises(ValueError, match="7"):
        map_shards(fail, [7], workers=2)


def test_survives_tells_death_from_an_answer():
    assert survives(double, 1)
    assert not survives(die_at_two, 2)
