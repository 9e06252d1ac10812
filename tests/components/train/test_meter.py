import pytest
import torch

from components.train.meter import BINS, Meter
from components.train.place import Place

ALONE = Place(0, 1, torch.device("cpu"))


def test_the_loss_is_averaged_in_each_tenth_of_the_time():
    meter = Meter(ALONE)
    meter.add(torch.tensor([0.05, 0.09, 0.95]), {"velocity": torch.tensor([1.0, 3.0, 5.0])})
    meter.add(torch.tensor([1.0, 0.0]), {"velocity": torch.tensor([7.0, 2.0])})  # both ends belong to a part
    figures = meter.take()
    assert figures["loss_by_time"] == [2.0, *[None] * (BINS - 2), 6.0]
    assert figures["count_by_time"] == [3, *[0] * (BINS - 2), 2]
    assert "loss_velocity" not in figures
    assert figures["memory_gib"] > 0.01


def test_terms_are_told_apart_where_there_are_several():
    meter = Meter(ALONE)
    meter.add(torch.tensor([0.2, 0.7]), {"velocity": torch.tensor([1.0, 2.0]), "pixel": torch.tensor([0.1, 0.3])})
    figures = meter.take()
    assert (figures["loss_velocity"], figures["loss_pixel"]) == (1.5, pytest.approx(0.2))


def test_taking_starts_anew():
    meter = Meter(ALONE)
    for loss in (1.0, 2.0):
        meter.add(torch.tensor([0.5]), {"velocity": torch.tensor([loss])})
        assert meter.take()["loss_by_time"][5] == loss
