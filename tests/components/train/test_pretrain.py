import json
import logging

import numpy as np
import pytest
import torch

from components.errors import SourceError, UnknownName
from components.imaging import codec
from components.train.pretrain import Plan, pretrain
from components.train.pretrain_decoder import decoder_terms
from components.train.pretrain_loop import Loop, budget
from components.train.pretrain_photos import SHORT_SIDES_PX, CropPool, box_down, dead_leaves, load_pool, sizes_of
from components.train.pretrain_stages import STAGES, Contrast
from components.train.pretrain_workshop import CURVE_FILE, Workshop, psnr
from models import bundle
from models.config import TINY


def noise(seed, height=256, width=300):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_one_seed_draws_one_sequence_of_crops():
    pool = CropPool([noise(1), noise(2)], [noise(3)], leaf_share=0.5)
    first, again = (pool.batch(np.random.default_rng(5), 6, 64) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (6, 64, 64, 3)


def test_box_down_averages_whole_blocks_and_drops_the_rest():
    image = np.zeros((5, 4, 3), np.uint8)
    image[:2, :2] = 8
    small = box_down(image, 2)
    assert small.shape == (2, 2, 3)
    assert small[0, 0].tolist() == [8, 8, 8]
    assert small[1].max() == 0


def test_a_large_photo_is_kept_smaller_and_a_small_one_as_it_is():
    large = np.zeros((2200, 3000, 3), np.uint8)
    assert [min(image.shape[:2]) for image in sizes_of(large)] == [1100, 733, 440]
    assert all(min(image.shape[:2]) >= SHORT_SIDES_PX[-1] for image in sizes_of(large))
    assert [image.shape for image in sizes_of(noise(1))] == [(256, 300, 3)]


def test_dead_leaves_are_seeded_and_have_flat_parts_and_edges():
    palette = noise(4, 64, 64)
    first, again = (dead_leaves(np.random.default_rng(1), 96, palette) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    steps = np.abs(np.diff(first.astype(int), axis=1)).max(axis=2)
    assert (steps < 4).mean() > 0.2
    assert (steps > 40).mean() > 0.01


def test_excluded_photos_are_not_read(tmp_path):
    (tmp_path / "keep.png").write_bytes(codec.encode_png(noise(1)))
    (tmp_path / "web_copy.png").write_bytes(codec.encode_png(noise(2)))
    pool = load_pool([tmp_path], exclude=["web_"], seed=0, leaves=0)
    assert len(pool.photos) == 1
    with pytest.raises(SourceError, match="found none"):
        load_pool([tmp_path], exclude=["web_", "keep"], seed=0, leaves=0)


def line(work, steps=40):
    torch.manual_seed(0)
    return Loop("line", [torch.nn.Linear(2, 1)], budget(steps, 1e-2), work)


def square(loop, stop_at=None):
    def step(rng):
        if loop.steps == stop_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.standard_normal((8, 2)).astype(np.float32))
        return {"loss": (loop.modules[0](x) - x.sum(1, keepdim=True)).square().mean()}

    return step


def test_a_loop_lowers_its_loss_and_keeps_the_averaged_weights(tmp_path):
    loop = line(tmp_path)
    loop.run(square(loop), seed=1)
    assert loop.steps == 40
    assert loop.curve[-1]["loss"] < 2
    torch.testing.assert_close(loop.weights["0.weight"], loop.average["0.weight"], atol=0, rtol=0)


def test_a_killed_loop_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    whole = line(tmp_path / "whole")
    whole.run(square(whole), seed=1)
    monkeypatch.setattr("components.train.pretrain_loop.CHECKPOINT_SECONDS", 0)
    killed = line(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        killed.run(square(killed, stop_at=17), seed=1)
    again = line(tmp_path / "killed")
    again.run(square(again), seed=1)
    for name, weight in whole.weights.items():
        torch.testing.assert_close(again.weights[name], weight, atol=0, rtol=0)


def test_the_contrastive_loss_prefers_matching_pairs():
    views = torch.eye(4)
    contrast = Contrast()
    assert contrast(views, views) < contrast(views, views.flip(0))


def test_psnr_of_a_known_error():
    assert float(psnr(torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.1))) == pytest.approx(20)


def test_an_unknown_stage_is_named_with_a_suggestion(tmp_path):
    with pytest.raises(UnknownName, match="backbone"):
        pretrain(Plan([tmp_path], tmp_path, tmp_path, stages=["backbon"]))


def test_the_decoder_loses_by_steps_at_token_borders_and_by_too_little_gradient():
    image = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    flat, steps, elsewhere = image.clone(), image.clone(), image.clone()
    flat[:] = image.mean((2, 3), keepdim=True) + 0.1 * (image - image.mean((2, 3), keepdim=True))
    steps[..., 8:16] += 0.1
    elsewhere[..., 9:17] += 0.1
    assert decoder_terms(image, image, 8)["loss"] < 1e-6
    assert decoder_terms(flat, image, 8)["energy"] > 2
    assert decoder_terms(steps, image, 8)["loss"] > decoder_terms(elsewhere, image, 8)["loss"]


@pytest.mark.e2e
def test_every_stage_writes_its_part_of_a_bundle_that_loads(tmp_path, caplog):
    """Real stages, two steps each: the bundle must be complete and its codec better than a flat picture."""
    caplog.set_level(logging.INFO)
    smooth = np.kron(noise(1, 20, 20), np.ones((16, 16, 1), np.uint8))
    pool = CropPool([smooth, noise(2, 200, 200) // 8 + 100], [])
    for name, (stage, _) in STAGES.items():
        stage(Workshop(tmp_path / "out", tmp_path / "work", pool, 3, 2), TINY)
        assert name in json.loads((tmp_path / "out" / CURVE_FILE).read_text())
    frozen = bundle.load_frozen(tmp_path / "out")
    image = torch.from_numpy(smooth[:128, :128]).permute(2, 0, 1)[None] / 127.5 - 1
    error = (frozen.decode(frozen.encode(image), 128, 128) - image).square().mean()
    assert error < 0.2 * image.var()
