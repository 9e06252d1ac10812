import itertools

import pytest
import torch

from models.tiling import offsets, plan, weight


@pytest.mark.parametrize("length", [16, 128, 136, 200, 256, 1024])
def test_tiles_cover_the_length_overlap_enough_and_stay_on_the_grid(length):
    starts = offsets(length, 128, 40, 8)
    assert starts[0] == 0
    assert starts[-1] + 128 >= length
    assert all(start % 8 == 0 for start in starts)
    assert all(b - a <= 88 for a, b in itertools.pairwise(starts))
    assert starts[-1] + min(128, length) == length


def test_blending_weights_are_positive_everywhere():
    for tile in plan(200, 136, tile=128, overlap=40, multiple=8):
        assert weight(tile, 200, 136, 40).min() > 0


def test_blending_equal_tiles_gives_them_back():
    total, norm = torch.zeros(200, 136), torch.zeros(200, 136)
    picture = torch.rand(200, 136)
    for tile in plan(200, 136, tile=128, overlap=40, multiple=8):
        blend = weight(tile, 200, 136, 40)
        total[tile.window] += picture[tile.window] * blend
        norm[tile.window] += blend
    torch.testing.assert_close(total / norm, picture)


@pytest.mark.parametrize(("tile", "overlap"), [(128, 128), (100, 8), (128, -1)])
def test_tiles_that_make_no_progress_are_refused(tile, overlap):
    with pytest.raises(ValueError, match="overlap"):
        offsets(256, tile, overlap, 8)
