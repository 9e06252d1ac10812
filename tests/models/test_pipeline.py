import pytest
import torch

from models.lucidflux import Adapter
from models.padding import pad_to_multiple
from models.pipeline import Pipeline, Sampler


@pytest.fixture(scope="module")
def pipeline(small):
    torch.manual_seed(4)
    adapter = Adapter.from_backbone(small.config, small)
    for parameter in adapter.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    return Pipeline(small, adapter.eval(), Sampler(steps=2, tile_px=64, overlap_px=16))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (16, 16), (17, 33), (63, 65), (150, 20)])
def test_every_size_comes_back_as_it_went_in(pipeline, size):
    restored = pipeline.restore(torch.rand(1, 3, *size), [5])
    for image in (restored.lrp_01, restored.restored_01):
        assert image.shape == (1, 3, *size)
        assert torch.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 1


def test_a_picture_restores_alike_alone_and_in_any_batch(pipeline):
    lq = torch.rand(3, 3, 40, 80)
    together = pipeline.restore(lq, [1, 2, 3]).restored_01
    alone = pipeline.restore(lq[1:2], [2]).restored_01
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)


def test_the_seed_decides_the_result(pipeline):
    lq = torch.rand(1, 3, 32, 32)
    first, second, other = (pipeline.restore(lq, [seed]).restored_01 for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_seeds_must_match_the_pictures(pipeline):
    with pytest.raises(ValueError, match="one seed per picture"):
        pipeline.restore(torch.rand(2, 3, 16, 16), [1])


def test_tiles_are_put_back_where_they_were_cut(small):
    """The untrained prior returns its input, so the blended LRP must be the LQ."""
    lq = torch.rand(1, 3, 90, 170)
    lrp = Pipeline(small, None, Sampler(steps=1, tile_px=64, overlap_px=32)).restore(lq, [3]).lrp_01
    torch.testing.assert_close(lrp, lq)


def test_tiles_off_the_token_grid_are_refused(small):
    with pytest.raises(ValueError, match="multiple of 16"):
        Pipeline(small, None, Sampler(tile_px=100))


def test_padding_mirrors_as_far_as_the_picture_reaches_and_then_repeats():
    padded = pad_to_multiple(torch.tensor([[[[1.0, 2.0, 3.0]]]]), 8)
    assert padded.shape == (1, 1, 8, 8)
    assert padded[0, 0, 0].tolist() == [1, 2, 3, 2, 1, 1, 1, 1]
