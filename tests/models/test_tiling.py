import itertools
import random

import pytest
import torch

from models.tiling import blend, lines, offsets, plan


@pytest.mark.parametrize("length", [16, 128, 136, 200, 256, 1024, 20_000])
def test_tiles_cover_the_length_overlap_enough_and_stay_on_the_grid(length):
    starts = offsets(length, 128, 40, 8)
    assert starts[0] == 0
    assert starts[-1] + min(128, length) == length
    assert all(start % 8 == 0 for start in starts)
    assert all(b - a <= 88 for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize("overlap", [0, 1, 40, 64, 120])
def test_blending_weights_are_positive_and_sum_to_one_everywhere(overlap):
    starts = offsets(600, 128, overlap, 8)
    total = torch.zeros(600, dtype=torch.float64)
    for start, line in lines(starts, 128).items():
        assert line.min() > 0
        total[start : start + 128] += line
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_blending_a_picture_cut_into_tiles_gives_it_back(dtype):
    picture = torch.rand(2, 3, 200, 136)
    tiles = plan(200, 136, tile=128, overlap=40, multiple=8)
    torch.testing.assert_close(blend(tiles, lambda tile: picture[(..., *tile.window)], dtype), picture)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_order_of_the_tiles_does_not_change_a_bit(dtype):
    tiles = plan(200, 136, tile=64, overlap=40, multiple=8)
    values = {tile: torch.rand(3, 64, 64) for tile in tiles}
    forwards = blend(tiles, values.__getitem__, dtype)
    for seed in range(5):
        assert torch.equal(forwards, blend(random.Random(seed).sample(tiles, len(tiles)), values.__getitem__, dtype))


def test_a_single_tile_is_given_back_as_it_is():
    picture = torch.randn(3, 64, 40)
    tiles = plan(64, 40, tile=64, overlap=8, multiple=8)
    assert blend(tiles, lambda tile: picture) is picture


@pytest.mark.parametrize(("tile", "overlap"), [(128, 128), (128, 121), (100, 8), (128, -1)])
def test_tiles_that_make_no_progress_are_refused(tile, overlap):
    with pytest.raises(ValueError, match="overlap"):
        offsets(256, tile, overlap, 8)
