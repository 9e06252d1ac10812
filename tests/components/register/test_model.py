import base64
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from components.imaging import codec
from components.register.model import RestorationModel
from tests.components.register.conftest import SAMPLER


def picture(seed=0, height=24, width=33):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    for source in trained.base.iterdir():
        (folder / source.name).symlink_to(source)
    (folder / "adapter.safetensors").symlink_to(trained.store.fetch(trained.run.checkpoint))
    loaded = RestorationModel()
    loaded.load_context(SimpleNamespace(artifacts={"bundle": str(folder)}, model_config=SAMPLER))
    return loaded


def predict(model, *values, **params):
    out = model.predict(None, pd.DataFrame({"image": list(values)}), params)
    return [codec.decode(data).image_u8 for data in out["image"]]


def test_a_jpeg_comes_back_as_a_png_of_its_size(model):
    (restored,) = predict(model, codec.encode_jpeg(picture(), 90))
    assert restored.shape == (24, 33, 3)


def test_base64_text_and_bytes_give_the_same(model):
    data = codec.encode_png(picture())
    first, second = predict(model, data, base64.b64encode(data).decode())
    assert np.array_equal(first, second)


def test_rows_keep_their_order(model):
    first, second = codec.encode_png(picture(1)), codec.encode_png(picture(2, 20, 30))
    shapes = [restored.shape for restored in predict(model, second, first)]
    assert shapes == [(20, 30, 3), (24, 33, 3)]


def test_seed_and_steps_decide_the_result(model):
    data = codec.encode_png(picture())
    same, again, seeded, longer = (
        predict(model, data, **asked)[0] for asked in ({}, {"seed": 0, "steps": 0}, {"seed": 1}, {"steps": 5})
    )
    assert np.array_equal(same, again)
    assert not np.array_equal(same, seeded)
    assert not np.array_equal(same, longer)


@pytest.mark.parametrize("value", [b"no picture", "not base64!", b""])
def test_a_row_that_is_no_picture_is_named(model, value):
    with pytest.raises(MlflowException, match="row 1"):
        predict(model, codec.encode_png(picture()), value)
