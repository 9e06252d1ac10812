import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from components.errors import TrainError
from components.imaging.degrade.batch import LQ_MEAN_U8
from components.train.ahead import Ahead, Opening
from components.train.launch import REPOSITORY
from components.train.order import Order, Spread
from components.train.rows import folder_of, unpack
from tests.components.train.test_launch import alive, wait_for_end

SPREAD = Spread(micro_batch_size=2, accumulation=2, processes=1, rank=0)
ORDER = Order(0, (np.arange(12),), 4)


@pytest.fixture(scope="module")
def opening(small_store, small_pairs, tmp_path_factory):
    folder = folder_of(tmp_path_factory.mktemp("rows"), small_pairs)
    unpack(small_store, small_pairs, folder)
    return Opening(small_store.root, folder.parent / "objects", folder)


@pytest.fixture
def ahead(opening):
    made = Ahead(opening, workers=1, prefetch=3)
    yield made
    made.close()


def coming(steps=4):
    return [ORDER.rows(samples) for step in range(steps) for samples in SPREAD.micro_batches(step)]


def workers(ahead):
    return list(ahead._pool._processes)


@pytest.mark.parametrize("count", [1, 2])
def test_the_number_of_workers_changes_no_bit(opening, count):
    here, ahead = opening.open(), Ahead(opening, workers=count, prefetch=3)
    ahead.follow(coming())
    for numbers in coming():
        for one, other in zip(ahead.make(numbers), here.make(numbers), strict=True):
            assert (one == other).all()
    assert len(workers(ahead)) == count
    ahead.close()


def test_only_so_many_batches_are_made_ahead(ahead):
    ahead.follow(coming())
    assert [numbers for numbers, _ in ahead._waiting] == [tuple(numbers) for numbers in coming()[:3]]
    ahead.make(coming()[0])
    assert [numbers for numbers, _ in ahead._waiting] == [tuple(numbers) for numbers in coming()[1:4]]


def test_rows_that_are_not_next_are_made_here_and_the_order_goes_on(ahead):
    ahead.follow(coming())
    here = ahead.opening.open()
    for numbers in (coming()[0], coming()[0], [7], coming()[1], coming()[2]):
        assert (ahead.make(numbers)[1] == here.make(numbers)[1]).all()
    assert ahead._waiting[0][0] == tuple(coming()[3])


def test_a_new_order_takes_the_place_of_the_old_one(ahead):
    ahead.follow(coming())
    ahead.follow([[5], [6]])
    assert (ahead.make([5])[0] == ahead.opening.open().make([5])[0]).all()
    assert len(ahead._waiting) == 1


def test_workers_cut_ahead_what_a_device_finishes(opening):
    from torch import device, from_numpy

    from components.imaging.degrade.batch import apply_batch

    for_device = Opening(opening.objects, opening.cache, opening.rows, "device")
    pixels = for_device.open()
    (crops,) = pixels.make([1, 2])
    hq_u8, lq_u8 = apply_batch(list(crops), pixels.undone([1, 2]), device("cpu"))
    exact_hq, exact_lq = opening.open().make([1, 2])
    assert (hq_u8 == from_numpy(exact_hq)).all()
    assert (lq_u8.float() - from_numpy(exact_lq).float()).abs().mean() < LQ_MEAN_U8


def test_a_worker_that_dies_is_a_sentence(ahead):
    ahead.follow(coming())
    ahead.make(coming()[0])
    os.kill(workers(ahead)[0], signal.SIGKILL)
    with pytest.raises(TrainError, match="goes on from the last checkpoint"):
        [ahead.make(numbers) for numbers in coming()[1:]]


def test_what_a_worker_refuses_comes_as_it_is(opening, tmp_path):
    ahead = Ahead(Opening(str(tmp_path), opening.cache, opening.rows), workers=1, prefetch=1)
    ahead.follow([[1]])
    with pytest.raises(Exception, match=r"Cannot read 'shards/one\.tar'"):
        ahead.make([1])
    ahead.close()


def test_workers_end_with_their_parent(opening):
    text = (
        "import sys, time\nfrom pathlib import Path\nfrom components.train.ahead import Ahead, Opening\n"
        "if __name__ == '__main__':\n"
        "    ahead = Ahead(Opening(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])), workers=2, prefetch=2)\n"
        "    ahead.follow([[0], [1], [2], [3]])\n"
        "    ahead.make([0]), ahead.make([1])\n"
        "    print(*ahead._pool._processes, flush=True)\n    time.sleep(60)\n"
    )
    arguments = [opening.objects, opening.cache, opening.rows]
    process = subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)], stdout=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True
    )
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for_end(*pids)
