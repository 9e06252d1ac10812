import base64
from concurrent.futures import ThreadPoolExecutor
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
def bundle(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    for source in trained.base.iterdir():
        (folder / source.name).symlink_to(source)
    (folder / "adapter.safetensors").symlink_to(trained.store.fetch(trained.run.checkpoint))
    return folder


def load(bundle, **limits):
    loaded = RestorationModel()
    loaded.load_context(SimpleNamespace(artifacts={"bundle": str(bundle)}, model_config={**SAMPLER, **limits}))
    return loaded


@pytest.fixture(scope="module")
def model(bundle):
    loaded = load(bundle)
    yield loaded
    loaded.admission.close()


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


def test_seed_steps_and_fidelity_decide_the_result(model):
    data = codec.encode_png(picture())
    own = {"seed": 0, "steps": None, "fidelity": None}
    same, again, seeded, longer, faithful = (
        predict(model, data, **asked)[0] for asked in ({}, own, {"seed": 1}, {"steps": 5}, {"fidelity": 1.0})
    )
    assert np.array_equal(same, again)
    assert not any(np.array_equal(same, other) for other in (seeded, longer, faithful))


def test_a_fidelity_of_1_is_the_light_restoration(model):
    (faithful,) = predict(model, codec.encode_png(picture()), fidelity=1)
    (both,) = model.restorer.restore([picture()], seeds=[0])
    assert np.abs(faithful.astype(int) - both.lrp_u8).max() <= 1


@pytest.mark.parametrize("value", [b"no picture", "not base64!", b"", None])
def test_a_row_that_is_no_picture_is_named(model, value):
    with pytest.raises(MlflowException, match="row 1") as refused:
        predict(model, codec.encode_png(picture()), value)
    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"steps": -1}, "'steps'.*greater than 0, got -1"),
        ({"steps": 101}, "'steps': expected at most 100"),
        ({"fidelity": 7.0}, "'fidelity'.*less than or equal to 1, got 7.0"),
        ({"fidelity": float("nan")}, "'fidelity'"),
        ({"seed": 2**63}, "'seed'.*less than 9223372036854775808"),
        ({"seed": -1}, "'seed'.*greater than or equal to 0"),
        ({"seed": "new"}, "'seed'.*valid integer"),
    ],
)
def test_a_parameter_out_of_range_is_the_callers_fault_and_says_the_range(model, asked, said):
    with pytest.raises(MlflowException, match=said) as refused:
        predict(model, codec.encode_png(picture()), **asked)
    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_pictures": 1}, "Expected 1 to 1 pictures in a request .*, got 2"),
        ({"max_bytes": 1000}, "row 1 .*too_many_bytes: [0-9]+ bytes, limit 1000"),
        ({"max_pixels": 24 * 33}, "row 1 .*too_many_pixels: 34x24 px, limits 792"),
        ({"max_side_px": 33}, "row 1 .*too_many_pixels: 34x24 px, .* 33 a side"),
    ],
)
def test_what_is_over_a_limit_is_refused_with_the_limit(bundle, limits, said):
    flat = codec.encode_png(np.zeros((24, 33, 3), np.uint8))
    with pytest.raises(MlflowException, match=said) as refused:
        predict(load(bundle, **limits), flat, codec.encode_png(picture(0, 24, 34)))
    assert refused.value.get_http_status_code() == 400


def test_a_picture_at_every_limit_is_restored(bundle):
    data = codec.encode_png(picture())
    limits = {"max_pictures": 1, "max_bytes": len(data), "max_pixels": 24 * 33, "max_side_px": 33, "max_steps": 3}
    assert len(predict(load(bundle, **limits), data, steps=3)) == 1


def test_no_pictures_are_a_bad_request(model):
    with pytest.raises(MlflowException, match="Expected 1 to 8 pictures"):
        predict(model)


def test_depth_alpha_and_profile_come_back_as_restore_writes_them(model, test_data):
    data = (test_data / "nasty" / "pngsuite_basn6a16.png").read_bytes()
    served = model.predict(None, pd.DataFrame({"image": [data]}), {})["image"][0]
    source = codec.source(data)
    assert (source.bits, source.alpha_u16 is None) == (16, False)
    (restored_01,) = model.restorer.restore_01([source.image_01], seeds=[0])
    assert served == codec.render(restored_01, source, "png")


def test_what_is_wrong_with_the_weights_is_the_servers_fault(bundle):
    broken = load(bundle)
    next(broken.restorer.pipeline.adapter.parameters()).data.fill_(float("nan"))
    with pytest.raises(MlflowException, match="NaN or infinity") as failed:
        predict(broken, codec.encode_png(picture()))
    assert failed.value.get_http_status_code() == 500


def on_a_server_thread(function, *given):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *given).result()


def test_a_picture_that_is_never_read_ends_its_reader_and_not_the_server(bundle):
    model = load(bundle, read_seconds=0.1)
    slow = codec.encode_png(picture(0, 2400, 2400))
    with pytest.raises(MlflowException, match=r"row 0 .*too_slow: within 0\.1 s of processor time"):
        on_a_server_thread(predict, model, slow)
    assert len(on_a_server_thread(predict, model, codec.encode_png(picture()))) == 1
    reader = model.admission.trials.worker.process
    model.admission.close()
    assert not reader.is_alive()


def test_a_broken_picture_has_the_same_verdict_on_every_thread(model, test_data):
    data = (test_data / "nasty" / "pil_truncated_jpeg.jpg").read_bytes()
    said = []
    for call in (predict, lambda *given: on_a_server_thread(predict, *given)):
        with pytest.raises(MlflowException, match=r"row 0 .*truncated") as refused:
            call(model, data)
        said.append(refused.value.message)
    assert said[0] == said[1]
