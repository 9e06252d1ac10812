"""A model, and pictures of others, measured on a benchmark in a folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.errors import SourceError
from components.evaluate.benchmarks.contender import Model, Outputs, steps_method
from components.evaluate.benchmarks.layout import open_benchmark
from components.evaluate.benchmarks.run import evaluate_benchmark
from components.evaluate.settings import BenchmarkSettings
from components.imaging import codec, iqa
from components.imaging.degrade.recipe import apply, draw, preset
from components.imaging.restorer import Restorer
from components.imaging.sampler import SamplerSettings

SETTINGS = BenchmarkSettings(metrics=("psnr", "ssim", "clipiqa", "lr_psnr", "semantic"), sliders=1)
SAMPLER = SamplerSettings(steps=1, start=0.2, guidance=1.0, shift="none", tile_px=64, overlap_px=16)
BASE = Path(__file__).resolve().parents[3] / "models" / "tiny"


@pytest.fixture
def folder(tmp_path):
    """Three smooth pictures with noise on them; the last LQ is half as large as its HQ."""
    rows, columns = np.mgrid[:64, :64]
    for number, name in enumerate("abc"):
        hq_u8 = np.stack([rows * 3, columns * 3, np.full_like(rows, 60 * number)], axis=-1).astype(np.uint8)
        _, lq_u8 = apply(hq_u8, draw(0, name, 0, preset("heavy")))
        for side, picture in ("hq", hq_u8), ("lq", lq_u8[::2, ::2] if name == "c" else lq_u8):
            path = tmp_path / "bench" / side / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(codec.encode_png(np.ascontiguousarray(picture)))
    return tmp_path / "bench"


def measure(folder, contender, tmp_path, settings=SETTINGS, **more):
    opened = open_benchmark(str(folder), tmp_path)
    store = LocalStorage(tmp_path / "objects")
    weights = tmp_path / "weights"
    return evaluate_benchmark(opened, contender, settings, store=store, home=tmp_path, weights=weights, **more), store


@pytest.fixture(scope="module")
def restorer():
    return Restorer(BASE, None, SAMPLER)


def test_a_model_stands_beside_lq_and_lrp_with_intervals_and_steps(folder, tmp_path, restorer):
    report, store = measure(folder, Model("ours/1", restorer, seed=0, steps=(2,)), tmp_path)
    cells = {(cell.method, cell.metric): cell for cell in report.summaries}
    assert {method for method, _ in cells} == {"lq", "lrp", "restored", steps_method(2)}
    assert cells["restored", "psnr"].n == 3
    assert cells["restored", "psnr"].mean > cells["lq", "psnr"].mean  # noise on smooth pictures goes
    assert -1 <= cells["lq", "semantic"].mean < cells["restored", "semantic"].mean <= 1
    low, high = cells["restored", "psnr"].interval
    assert low <= cells["restored", "psnr"].mean <= high
    assert "weights" in report.skipped["clipiqa"]
    assert "recipe" in report.skipped["lr_psnr"]
    assert set(report.seconds) == {"restored", steps_method(2)}
    assert report.parameters["backbone"] > report.parameters["prompt"] > 0
    html = store.read(report.html).decode()
    for said in ("ours/1 on bench", "Quality against number of steps", "Run time and size", "published, not re-measured here"):
        assert said in html


def test_scores_are_those_of_the_pictures_that_were_kept(folder, tmp_path, restorer):
    report, store = measure(folder, Model("ours/1", restorer, seed=0), tmp_path)
    rows = {(row["method"], row["image_id"], row["metric"]): row["value"] for row in manifest.rows(store, report.scores)}
    for name in "abc":
        made = codec.decode(store.read(f"{report.examples}/restored/{name}.png")).image_u8
        hq = codec.decode((folder / "hq" / f"{name}.png").read_bytes()).image_u8
        assert rows["restored", name, "psnr"] == iqa.score("psnr", [made], [hq])[0]


def test_a_killed_run_restores_only_what_is_missing(folder, tmp_path, restorer):
    whole, _ = measure(folder, Model("ours/1", restorer, seed=0), tmp_path)
    made = sorted(tmp_path.glob("work/benchmark-*/*/*/restored.json"))
    assert len(made) == 3
    made[0].unlink()
    stamps = {path: path.stat().st_mtime_ns for path in made[1:]}
    again, _ = measure(folder, Model("ours/1", restorer, seed=0), tmp_path)
    assert again.scores == whole.scores
    assert {path: path.stat().st_mtime_ns for path in made[1:]} == stamps


def test_pictures_of_others_are_matched_by_name_and_missing_ones_listed(folder, tmp_path):
    theirs = tmp_path / "theirs"
    shutil.copytree(folder / "hq", theirs)
    (theirs / "b.png").unlink()
    (theirs / "c.png").write_bytes(codec.encode_png(np.zeros((8, 8, 3), np.uint8)))
    report, store = measure(folder, Outputs.of(theirs, "other"), tmp_path)
    assert report.missing == {"b": "missing", "c": "expected 64x64 px, got 8x8"}
    cells = {(cell.method, cell.metric): cell for cell in report.summaries}
    assert (cells["other", "psnr"].n, cells["other", "psnr"].mean) == (1, 80.0)
    assert cells["lq", "psnr"].n == 3
    assert "image encoder" in report.skipped["semantic"]
    assert "expected 64x64 px" in store.read(report.html).decode()


def test_two_contenders_are_compared_picture_by_picture(folder, tmp_path, restorer):
    theirs = tmp_path / "theirs"
    shutil.copytree(folder / "hq", theirs)
    perfect, _ = measure(folder, Outputs.of(theirs, "truth"), tmp_path)
    report, store = measure(folder, Model("ours/1", restorer, seed=0), tmp_path, against=perfect)
    psnr = next(one for one in report.paired if one.metric == "psnr")
    assert (psnr.n, psnr.wins, psnr.losses) == (3, 0, 3)
    html = store.read(report.html).decode()
    assert "Against truth" in html
    assert "left is truth, right is ours/1" in html


def test_a_larger_truth_is_shrunk_and_a_smaller_one_proves_nothing(folder, tmp_path):
    for side_px, n in ((32, 3), (128, 0)):
        theirs = tmp_path / f"theirs-{side_px}"
        theirs.mkdir()
        for path in (folder / "hq").iterdir():
            (theirs / path.name).write_bytes(codec.encode_png(np.zeros((side_px, side_px, 3), np.uint8)))
        settings = SETTINGS.model_copy(update={"side_px": side_px})
        report, _ = measure(folder, Outputs.of(theirs, "black"), tmp_path, settings=settings)
        assert sum(cell.n for cell in report.summaries if (cell.method, cell.metric) == ("black", "psnr")) == n
        assert ("psnr" in report.skipped) == (n == 0)


def test_without_truth_metrics_with_a_reference_are_left_out(folder, tmp_path, restorer):
    shutil.rmtree(folder / "hq")
    report, _ = measure(folder, Model("ours/1", restorer, seed=0), tmp_path)
    assert report.skipped["psnr"] == "there is no HQ to compare with"
    assert not report.summaries


def test_names_that_stand_for_something_else_are_refused(folder):
    with pytest.raises(SourceError, match="--label"):
        Outputs.of(folder / "lq", "")


def test_more_steps_are_measured_beside_what_was_restored_before(folder, tmp_path, restorer):
    measure(folder, Model("ours/1", restorer, seed=0), tmp_path)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("work/benchmark-*/*/*/restored.png")}
    report, _ = measure(folder, Model("ours/1", restorer, seed=0, steps=(2,)), tmp_path)
    assert steps_method(2) in {cell.method for cell in report.summaries}
    assert {path: path.stat().st_mtime_ns for path in made} == made
