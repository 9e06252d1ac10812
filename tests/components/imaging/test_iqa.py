"""Metrics: known values, direction as metadata, no dependence on batches, nothing loaded too early."""

from __future__ import annotations

import csv
import math
import subprocess
import sys

import numpy as np
import pytest

from components.errors import UnknownName
from components.imaging import codec, iqa

OFFICIAL = {"psnr": 0.02, "gmsd": 0.001, "nlpd": 0.001, "piqe": 0.1}
"""Largest difference from the authors' scores of the calibration pictures."""
SLOW_OFFICIAL = {"ssim": 0.001, "fsim": 0.001, "ms_ssim": 0.005}


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


@pytest.mark.parametrize("name", [name for name, metric in iqa.METRICS.items() if name != "entropy" and not metric.weights])
def test_metric_prefers_less_noise_as_its_direction_says(name):
    metric = iqa.info(name)
    hq_u8 = photo_like()
    references = [hq_u8, hq_u8] if metric.needs_reference else None
    near, far = iqa.score(name, [noisy(hq_u8, 6), noisy(hq_u8, 40)], references)
    assert (near > far) is metric.higher_is_better


def test_entropy_rewards_noise_as_its_description_says():
    near, far = iqa.score("entropy", [noisy(photo_like(), 6), noisy(photo_like(), 40)])
    assert far > near


@pytest.mark.parametrize("name", ["psnr", "ssim", "piqe"])
def test_score_does_not_depend_on_its_batch(name):
    images = [noisy(photo_like(), sigma) for sigma in (2, 10, 30)]
    hq_u8 = photo_like()
    needs = iqa.info(name).needs_reference
    together = iqa.score(name, images, [hq_u8] * 3 if needs else None)
    alone = [iqa.score(name, [image], [hq_u8] if needs else None)[0] for image in images]
    assert together == alone


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
