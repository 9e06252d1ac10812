import numpy as np
import pytest
import torch

from components.errors import DecodeError
from components.imaging.sampler import SamplerSettings
from components.restore.tiles import restore_within, smaller


def test_tiles_are_halved_from_the_size_of_the_picture_down_to_the_floor():
    sampler = SamplerSettings(tile_px=1024, overlap_px=128, codec_tile_px=512, codec_overlap_px=128)
    tried = list(smaller(sampler, 500, 16, 100))
    assert tried[0] == sampler
    assert [(one.tile_px, one.codec_tile_px) for one in tried[1:]] == [(256, 256), (128, 128), (96, 96)]
    assert all(one.overlap_px <= one.tile_px - 16 and one.codec_overlap_px <= one.codec_tile_px - 16 for one in tried)


def test_a_picture_of_one_tile_of_the_smallest_size_is_tried_once():
    assert len(list(smaller(SamplerSettings(), 64, 16, 64))) == 1


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory")]
)
def test_memory_that_runs_out_is_answered_by_smaller_tiles(restorer, monkeypatch, error):
    sizes = []
    genuine = type(restorer).restore_both_01

    def scarce(self, images_01, seeds=None):
        sizes.append(self.sampler.tile_px)
        if self.sampler.codec_tile_px > 64:
            raise error
        return genuine(self, images_01, seeds)

    monkeypatch.setattr(type(restorer), "restore_both_01", scarce)
    image_01 = np.random.default_rng(0).random((40, 128, 3), dtype=np.float32)
    ((lrp, made),), sampler = restore_within(restorer, [image_01], [0], 32)
    assert lrp.shape == made.shape == image_01.shape
    assert (sampler.tile_px, sampler.codec_tile_px, len(sizes)) == (32, 64, 2)
    with pytest.raises(DecodeError, match="out_of_memory"):
        restore_within(restorer, [image_01], [0], 128)


def test_another_error_is_not_taken_for_a_lack_of_memory(restorer, monkeypatch):
    def broken(self, images_01, seeds=None):
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(type(restorer), "restore_both_01", broken)
    with pytest.raises(RuntimeError, match="assert"):
        restore_within(restorer, [np.zeros((8, 8, 3), np.float32)], [0], 64)
