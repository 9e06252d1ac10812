"""Metrics: known values, direction as metadata, no dependence on batches, nothing loaded too early."""

from __future__ import annotations

import csv
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from components.errors import SettingsError, UnknownName
from components.imaging import codec, iqa

OFFICIAL = {"psnr": 0.02, "gmsd": 0.001, "nlpd": 0.001, "piqe": 0.1, "entropy": 0.01}
"""Largest difference from the authors' scores of the calibration pictures; pyiqa's own tests allow 0.01 and 1 % more."""
SLOW_OFFICIAL = {"ssim": 0.001, "fsim": 0.001, "ms_ssim": 0.005, "vsi": 0.009, "vif": 0.0001, "cw_ssim": 0.0001, "mad": 0.001}
FREE = [name for name, metric in iqa.METRICS.items() if not (metric.weights or metric.own_encoder)]
SLOW = ("mad", "fsim", "vif", "cw_ssim", "vsi", "ms_ssim", "ssimc")


def photo_like(height=168, width=176):
    rows, columns = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(rows / 5) * np.cos(columns / 7) + 40 * np.sin(columns * rows / 900)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def noisy(image_u8, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, image_u8.shape)
    return np.clip(image_u8 + noise, 0, 255).astype(np.uint8)


def test_importing_describing_and_refusing_load_neither_pyiqa_nor_torch():
    program = (
        "import sys; from components.imaging import iqa; iqa.versions(); iqa.info('piqe'); iqa.operator('piqe')\n"
        "try: iqa.ready('clipiqa')\n"
        "except iqa.weights.WeightsError: pass\n"
        "print([name for name in ('pyiqa', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_psnr_of_a_known_difference():
    first, second = np.full((32, 32, 3), 100, np.uint8), np.full((32, 32, 3), 110, np.uint8)
    assert iqa.score("psnr", [first], [second])[0] == pytest.approx(20 * math.log10(255 / 10), abs=1e-3)


def slow_apart(names):
    return [pytest.param(name, marks=pytest.mark.e2e) if name in SLOW else name for name in names]


@pytest.mark.parametrize("name", slow_apart(name for name in FREE if name != "entropy"))
def test_metric_prefers_less_noise_as_its_direction_says(name):
    metric = iqa.info(name)
    hq_u8 = photo_like()
    references = [hq_u8, hq_u8] if metric.needs_reference else None
    near, far = iqa.score(name, [noisy(hq_u8, 6), noisy(hq_u8, 40)], references)
    assert (near > far) is metric.higher_is_better


def test_entropy_rewards_noise_as_its_description_says():
    near, far = iqa.score("entropy", [noisy(photo_like(), 6), noisy(photo_like(), 40)])
    assert far > near


@pytest.mark.parametrize("name", slow_apart(FREE))
def test_score_is_what_pyiqa_called_by_hand_gives_alone_in_sevens_and_shuffled(name):
    import pyiqa

    metric, hq_u8 = iqa.info(name), photo_like()
    images = [noisy(hq_u8, sigma) for sigma in (2, 30)] if name == "mad" else [noisy(hq_u8, 4 * step + 2) for step in range(7)]
    by_hand = pyiqa.create_metric(metric.variant, device="cpu")
    pairs = [(as_tensor(image), as_tensor(hq_u8)) if metric.needs_reference else (as_tensor(image),) for image in images]
    expected = [float(by_hand(*pair)) for pair in pairs]
    references = [hq_u8] * len(images) if metric.needs_reference else None
    assert iqa.score(name, images, references) == expected
    assert iqa.score(name, images[:1], references and references[:1]) == expected[:1]
    shuffled = [len(images) - 1, *range(len(images) - 1)]
    assert iqa.score(name, [images[place] for place in shuffled], references) == [expected[place] for place in shuffled]


def as_tensor(image_u8):
    return torch.from_numpy(image_u8.transpose(2, 0, 1)[None].copy()).float() / 255


@pytest.mark.parametrize("name", FREE)
def test_table_says_what_pyiqas_metric_does_to_channels_and_borders(name):
    import pyiqa

    network = pyiqa.create_metric(iqa.info(name).variant, device="cpu").net
    assert getattr(network, "crop_border", 0) == iqa.info(name).crop_border_px
    if hasattr(network, "test_y_channel"):
        assert network.test_y_channel is (iqa.info(name).channel == "luma")


@pytest.mark.parametrize("name", ["cw_ssim", pytest.param("vif", marks=pytest.mark.e2e)])
def test_a_reference_without_texture_gives_nan_and_one_with_texture_does_not(name):
    flat, rough = np.full((96, 96, 3), 128, np.uint8), noisy(np.full((96, 96, 3), 128, np.uint8), 30)
    found = iqa.score(name, [flat, rough, flat, rough], [flat, flat, rough, rough])
    assert [math.isnan(value) for value in found] == [True, True, False, False]
    assert found[3] == pytest.approx(1, abs=1e-5)


@pytest.mark.e2e
def test_mad_scores_pictures_of_odd_sides_as_if_their_last_row_and_column_were_not_there():
    hq_u8 = photo_like(129, 131)
    lq_u8 = noisy(hq_u8, 20)
    odd, even = iqa.score("mad", [lq_u8, lq_u8[:128, :130]], [hq_u8, hq_u8[:128, :130]])
    assert odd == even > 0


@pytest.mark.parametrize("name", [*OFFICIAL, *(pytest.param(name, marks=pytest.mark.e2e) for name in SLOW_OFFICIAL)])
def test_calibration_pictures_have_their_official_scores(name, test_data):
    folder = test_data / "params" / "iqa_calibration"
    with (folder / "results_official_subset.csv").open() as table:
        official = next(row for row in csv.DictReader(table) if row["Method"] == name)
    for number in ("I08", "I19"):
        pictures = [codec.decode((folder / f"{kind}_{number}.bmp").read_bytes()).image_u8 for kind in ("dist", "ref")]
        references = [pictures[1]] if iqa.info(name).needs_reference else None
        found = iqa.score(name, pictures[:1], references)[0]
        assert found == pytest.approx(float(official[f"{number}.bmp"]), abs=(OFFICIAL | SLOW_OFFICIAL)[name])


@pytest.mark.parametrize("name", ["piqe", "ssim"])
def test_picture_below_the_minimum_scores_nan_and_at_it_does_not(name):
    side = iqa.info(name).minimum_side_px
    hq_u8 = photo_like()
    for pixels, small in ((side - 1, True), (side, False)):
        cut = hq_u8[:pixels, :64]
        references = [cut] if iqa.info(name).needs_reference else None
        assert math.isnan(iqa.score(name, [noisy(cut, 5)], references)[0]) is small


def test_missing_reference_is_an_error():
    with pytest.raises(ValueError, match="one reference per picture"):
        iqa.score("psnr", [photo_like()])


def test_reference_of_another_size_is_an_error():
    with pytest.raises(ValueError, match="equal size"):
        iqa.score("psnr", [photo_like()], [photo_like(64, 64)])


def test_unknown_metric_gets_a_suggestion():
    with pytest.raises(UnknownName, match="Did you mean 'psnr'"):
        iqa.score("psnrr", [photo_like()])


def test_metrics_are_parted_into_those_that_run_here_and_those_that_say_what_they_need():
    can, cannot = iqa.usable(["musiq", "piqe", "qalign", "piqe"])
    assert can == ["piqe"]
    assert "lucidflux weights fetch musiq-koniq" in cannot["musiq"]
    assert "pytorch_model-00001-of-00002.bin" in cannot["qalign"]


def test_the_paper_ranks_by_ten_metrics_that_are_all_in_the_table():
    paper = {"psnr", "ssim", "lpips", "clipiqa", "clipiqa+", "qalign", "musiq", "maniqa", "nima", "niqe"}
    assert paper <= iqa.METRICS.keys()


def test_versions_name_library_and_device():
    assert set(iqa.versions()) == {"pyiqa", "torch", "device"}


def test_pkg_resources_is_stood_in_for_when_setuptools_has_none():
    program = (
        "import sys, importlib.util as u; from components.imaging import iqa; real = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name == 'pkg_resources' else real(name, *a); iqa.ensure_pkg_resources(); "
        "from pkg_resources import packaging; print(packaging.version.parse('1.10') > packaging.version.parse('1.9'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_ranking_by_another_metric_than_the_papers_is_said():
    assert iqa.stands_in("piqe") == "PIQE ranks here, not the paper's CLIP-IQA: it needs no weights."
    assert iqa.stands_in("musiq") == "MUSIQ ranks here, not the paper's CLIP-IQA."
    assert iqa.stands_in("clipiqa") == ""


def test_stream_gives_nan_for_what_is_missing_or_too_small_and_the_same_scores():
    images = [noisy(photo_like(), sigma) for sigma in (2, 30)]
    found = list(iqa.stream("piqe", [images[0], None, photo_like(15, 15), images[1]]))
    assert [found[0], found[3]] == iqa.score("piqe", images)
    assert [math.isnan(value) for value in found] == [False, True, True, False]


def test_stream_refuses_a_metric_that_compares():
    with pytest.raises(ValueError, match="compares two"):
        iqa.stream("psnr", [])


def test_what_a_models_own_encoder_sees_is_not_asked_of_pyiqa():
    picture = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(SettingsError, match="own image encoder"):
        iqa.score("semantic", [picture], [picture])
