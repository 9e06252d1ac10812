import pytest
import torch

from components.backends import manifest
from components.backends.shards import write_shard
from components.errors import TrainError
from components.imaging import codec
from components.imaging.degrade import recipe
from components.imaging.degrade.batch import LQ_MEAN_U8
from components.imaging.degrade.recipe import Recipe
from components.train.batches import Batches
from components.train.data import LiveFeatures
from components.train.pixels import PairPixels
from components.train.settings import TrainSettings
from models.bundle import load_frozen
from models.objective import sample_time


@pytest.fixture(scope="module")
def rows(small_store, small_pairs):
    return manifest.rows(small_store, small_pairs)


@pytest.fixture(scope="module")
def live(small_store, rows, small_bundle):
    return LiveFeatures(PairPixels(small_store, rows), load_frozen(small_bundle))


def test_pixels_are_those_of_the_recipe(small_store, rows):
    hq_u8, lq_u8 = PairPixels(small_store, rows).make([5, 2])
    picture = codec.decode(small_store.read_range(rows[2]["shard"], rows[2]["offset"], rows[2]["length"]))
    hq, lq = recipe.apply(picture.image_u8, Recipe.unpack(rows[2]["recipe"]))
    assert (hq_u8[1].transpose(1, 2, 0) == hq).all()
    assert (lq_u8[1].transpose(1, 2, 0) == lq).all()


@pytest.mark.parametrize("synthesis", ["processor", "device"])
def test_a_damaged_picture_names_its_pair_and_shard(small_store, rows, synthesis):
    spoilt = [{**row, "length": row["length"] // 2} if number == 4 else row for number, row in enumerate(rows)]
    pixels = PairPixels(small_store, spoilt, synthesis)
    pixels.make([3, 5])
    with pytest.raises(TrainError, match=rows[4]["id"][:12]) as caught:
        pixels.make([3, 4])
    assert "shards/one.tar" in str(caught.value)
    assert "same command" in str(caught.value)


@pytest.mark.parametrize("synthesis", ["processor", "device"])
def test_pixels_that_a_shard_holds_are_read(small_store, rows, synthesis):
    exact = PairPixels(small_store, rows).make([5, 2])
    images = [side[number].transpose(1, 2, 0) for number in (0, 1) for side in exact]
    places = write_shard(small_store, [(f"{number}.png", codec.encode_png(image)) for number, image in enumerate(images)])
    held = [dict(row) for row in rows]
    for number, index in enumerate((5, 2)):
        hq, lq = places[2 * number : 2 * number + 2]
        held[index] |= {"shard": "shards/gone.tar", "pixels": hq.shard, "hq_offset": hq.offset, "hq_length": hq.length}
        held[index] |= {"lq_offset": lq.offset, "lq_length": lq.length}
    for read, made in zip(PairPixels(small_store, held, synthesis).make([5, 2]), exact, strict=True):
        assert (read == made).all()


def test_features_of_pixels_made_on_the_device_agree_with_those_of_exact_pixels(small_store, rows, live):
    on_device = LiveFeatures(PairPixels(small_store, rows, "device"), live.frozen)
    exact, made = live.take([0, 5, 7]), on_device.take([0, 5, 7])
    assert (made["lq_u8"].float() - exact["lq_u8"].float()).abs().mean() < LQ_MEAN_U8
    for name in ("lrp_01", "x0_BTD", "features_BSE"):
        assert (made[name] - exact[name]).abs().mean() < 1e-2 * exact[name].abs().mean()
    assert {name: (value.dtype, value.device) for name, value in made.items()} == {
        name: (value.dtype, value.device) for name, value in exact.items()
    }


def test_where_pixels_are_made_belongs_to_the_identity_of_a_run():
    assert TrainSettings(synthesis="device").identity() != TrainSettings().identity()


def test_features_have_their_ranges_and_shapes(live):
    made = live.take([0, 1, 2])
    assert made["lq_u8"].shape == made["lrp_01"].shape == (3, 3, 32, 32)
    assert made["lq_u8"].dtype == torch.uint8
    assert made["lrp_01"].min() >= 0
    assert made["lrp_01"].max() <= 1
    assert made["x0_BTD"].shape == (3, 4, 16)
    assert made["features_BSE"].shape == (3, 4, 16)


@pytest.mark.parametrize("kind", TrainSettings.model_fields["time_sampling"].annotation.__args__)
def test_every_time_distribution_of_the_settings_exists(kind):
    t_B = sample_time(kind, torch.linspace(-3, 3, 50), torch.linspace(0, 0.99, 50))
    assert ((t_B >= 0) & (t_B <= 1)).all()


def test_a_batch_depends_on_its_samples_alone(live, rows):
    batches = Batches([row["id"] for row in rows], live, TrainSettings(precision="fp32"), torch.device("cpu"))
    both, second = batches.make(range(6, 8)), batches.make(range(7, 8))
    assert both.pairs[1:] == second.pairs
    assert torch.equal(both.noise_BTD[1:], second.noise_BTD)
    assert torch.equal(both.t_B[1:], second.t_B)
    torch.testing.assert_close(both.condition.hint_lrp_pm1[1:], second.condition.hint_lrp_pm1, atol=1e-3, rtol=0)
